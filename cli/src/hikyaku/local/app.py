"""`hikyaku local up|down|status`: the whole line on this machine, without Docker."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hikyaku.local import endpoints, layout, lifecycle, ready, state, supervise
from hikyaku.local.program import NAMES
from hikyaku.local.progress import Progress

app = typer.Typer(help="The whole line on this machine, without Docker.", no_args_is_help=True)
Directory = Annotated[
    Path | None,
    typer.Option("--dir", help="Folder of the stack; HIKYAKU_LOCAL_DIR, else .local in the checkout.", file_okay=False),
]


@app.command()
def up(directory: Directory = None) -> None:
    """Start what does not run. HIKYAKU_* settings of this environment reach the services."""
    where, progress = layout.locate(directory), Progress()
    with lifecycle.locked(where):
        lifecycle.up(where, progress, os.environ)
    kept = state.load(where.state)
    if kept is not None:
        progress.note(f"Flower: {endpoints.flower_url(where, kept.ports['flower'])}")
    progress.note(f"In a shell: set -a; . {endpoints.quote(str(where.endpoints))}; set +a")


@app.command()
def down(
    directory: Directory = None,
    clean: Annotated[bool, typer.Option("--clean", help="Also remove data, secrets and logs.")] = False,
) -> None:
    """Stop exactly what `up` started; data stays."""
    where, progress = layout.locate(directory), Progress()
    if not where.directory.exists():
        progress.note("Nothing runs.")
        return
    with lifecycle.locked(where):
        lifecycle.down(where, progress)
        if clean:
            lifecycle.clean(where, progress)


@app.command()
def status(directory: Directory = None) -> None:
    """Show what runs. Exit 0 when everything does, 1 otherwise."""
    where = layout.locate(directory)
    kept = state.load(where.state)
    supervisor = supervise.connect(where, kept) if kept else None
    if kept is None or supervisor is None:
        Console().print(f"Nothing runs in {where.directory}. Start it with: hikyaku local up", soft_wrap=True)
        raise typer.Exit(1)
    processes = supervisor.processes()
    healthy = {name: ready.serves(where, kept, processes[name]) for name in NAMES}
    Console().print(_table(where, kept, processes, healthy))
    raise typer.Exit(0 if all(healthy.values()) else 1)


def _table(where: layout.Layout, kept: state.State, processes: dict[str, supervise.Info], healthy: dict[str, bool]) -> Table:
    table = Table("service", "state", "pid", "uptime", "where")
    urls = {
        "postgres": f"127.0.0.1:{kept.ports['postgres']}",
        "redis": f"127.0.0.1:{kept.ports['redis']}",
        "localstack": f"http://127.0.0.1:{kept.ports['localstack']}",
        "flower": f"http://127.0.0.1:{kept.ports['flower']}",
    }
    for name in NAMES:
        info = processes[name]
        table.add_row(
            name,
            _state(info, healthy[name]),
            str(info.pid) if info.runs else "",
            uptime(info.uptime_s),
            urls.get(name, str(where.log(name))),
        )
    return table


def _state(info: supervise.Info, healthy: bool) -> str:
    if healthy:
        return "[green]ready[/green]"
    return "[yellow]not ready[/yellow]" if info.runs else f"[red]{info.state.lower()}[/red]"


def uptime(seconds: int) -> str:
    """Hours, minutes and seconds."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if seconds else ""
