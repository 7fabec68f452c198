"""The `demo` command: start the stack, play the story, show it in tables."""

import os
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from hikyaku.demo.scenario import Story, play, prepare
from hikyaku.demo.world import Fate, World, read_endpoints
from hikyaku.local import lifecycle
from hikyaku.local.layout import Layout, locate
from hikyaku.local.progress import Progress
from hikyaku.send import progress_bars

COLOURS = {"loaded": "green", "duplicate": "cyan", "superseded": "cyan", "tested": "blue", "rejected": "red", "failed": "yellow"}


def demo(*, keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up, to look around in Flower and psql.")] = False) -> None:
    """Carry real files from S3 into PostgreSQL on this machine, and show what became of each.

    Example: hikyaku demo --keep
    """
    layout, progress = locate(), Progress()
    ours = not layout.state.exists()
    with lifecycle.locked(layout):
        lifecycle.up(layout, progress, os.environ)
        try:
            flower = perform(layout, progress.console)
        finally:
            if not keep:
                lifecycle.down(layout, progress)
                if ours:
                    # The next demo shall tell the same story; a stack that was there before keeps its data.
                    lifecycle.clean(layout, progress)
    if keep:
        progress.note(f"The stack is up. Flower: {flower}\nEvery URL: {layout.endpoints}\nStop it: hikyaku local down")


def perform(layout: Layout, console: Console) -> str:
    """Play the story on the running stack and show it; returns Flower's address."""
    world = World(read_endpoints(layout.endpoints))
    started = time.monotonic()
    prepare(world, layout.root / "demo")
    with progress_bars(console) as bars:
        story = play(world, layout.root / "demo", bars, lambda text: bars.console.print(f"[bold]→[/bold] {text}"))
    show(console, story, time.monotonic() - started)
    world.close()
    return world.endpoints["HIKYAKU_FLOWER_URL"]


def show(console: Console, story: Story, seconds: float) -> None:
    """Print the story's tables."""
    files = Table(
        Column("file", overflow="fold"), "status", "rows", "received → committed", "error_code", title="hikyaku.files: every file's fate"
    )
    for fate in story.fates:
        files.add_row(*_cells(fate))
    tables = Table("table", "rows", title="what is in PostgreSQL")
    for name, count in story.counts.items():
        tables.add_row(name, f"{count:,}")
    letters = Table("message", "error_code", "error", title="dead-letter queue")
    for letter in story.letters:
        letters.add_row(letter.message_id[:8], letter.error_code, letter.error)
    console.print(files, tables, letters)
    if story.fates[0].status == "duplicate":
        console.print("This stack has carried these files before. To start over: hikyaku local down --clean")
    console.print(f"{len(story.fates)} files in {seconds:.1f} s.")


def _cells(fate: Fate) -> tuple[str, ...]:
    colour = COLOURS.get(fate.status, "white")
    rows = "" if fate.rows_loaded is None else f"{fate.rows_loaded:,}"
    return (
        fate.key.removeprefix("incoming/"),
        f"[{colour}]{fate.status}[/{colour}]",
        rows,
        f"{fate.seconds:.2f} s",
        fate.error_code or "",
    )
