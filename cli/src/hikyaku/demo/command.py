"""The `demo` command: find or start a stack, play the story, show it in tables."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from typing import Annotated

import psycopg
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from hikyaku.demo.scenario import Story, play, prepare
from hikyaku.demo.stage import IN_CONTAINERS, NEEDED, Stage, given
from hikyaku.demo.world import Fate, World
from hikyaku.endpoints import read_endpoints
from hikyaku.errors import UserError
from hikyaku.printable import printable
from hikyaku.sending.progress import progress_bars

COLOURS = {"loaded": "green", "duplicate": "cyan", "superseded": "cyan", "tested": "blue", "rejected": "red", "failed": "yellow"}
WIDTH = 120
"""Where no terminal says how wide it is: each file fits on one line."""

KEEP = "Leave the stack up, to look around in Flower and psql. In containers it stays up anyway."


def demo(*, keep: Annotated[bool, typer.Option("--keep", help=KEEP)] = False) -> None:
    """Carry real files from S3 into PostgreSQL on this machine, and show what became of each.

    Plays on the stack whose endpoints.env HIKYAKU_ENDPOINTS names (set in the container `cli`), else on one that it starts and stops.

    Example: hikyaku demo --keep
    """
    console = _console()
    if stage := given(os.environ):
        flower = perform(stage, console)
        console.print(f"Flower: {flower}", soft_wrap=True)
    elif find_spec("supervisor"):
        from hikyaku.demo import own_stack  # noqa: PLC0415 - what it imports comes with the extra `local` only

        own_stack.play(perform, console, keep=keep)
    else:
        raise UserError("There is no stack to play on.", hint=f"In containers: {IN_CONTAINERS}. In a checkout: make demo", exit_code=2)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, width=WIDTH)


def perform(stage: Stage, console: Console) -> str:
    """Play the story on the running stack and show it; returns Flower's address.

    Raises:
        UserError: the stack does not answer, or a file has no fate in time.
    """
    endpoints = _endpoints(stage)
    with _in_words(stage), closing(World(endpoints, stage.logs)) as world:
        started = time.monotonic()
        prepare(world, stage.demo)
        with progress_bars(console) as bars:
            story = play(world, stage.demo, bars, lambda text: bars.console.print(f"[bold]→[/bold] {text}"))
        show(console, story, time.monotonic() - started, stage.start_over)
    return endpoints["HIKYAKU_FLOWER_URL"]


def _endpoints(stage: Stage) -> dict[str, str]:
    try:
        found = read_endpoints(stage.endpoints)
    except OSError as error:
        raise UserError(f"{stage.endpoints} can't be read: {error.strerror}.") from None
    if missing := [name for name in NEEDED if not found.get(name)]:
        raise UserError(f"{stage.endpoints} lacks {', '.join(missing)}.")
    return found


@contextmanager
def _in_words(stage: Stage) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise UserError(f"S3 or SQS: {error}", hint=stage.logs) from None
    except psycopg.Error as error:
        raise UserError(f"PostgreSQL: {str(error).strip()}", hint=stage.logs) from None


def show(console: Console, story: Story, seconds: float, start_over: str) -> None:
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
    letters.add_row(story.letter.message_id[:8], story.letter.error_code, escape(printable(story.letter.error)))
    console.print(files, tables, letters)
    if story.fates[0].status == "duplicate":
        console.print(f"This stack has carried these files before. To start over: {start_over}")
    console.print(f"{len(story.fates)} files in {seconds:.1f} s.")


def _cells(fate: Fate) -> tuple[str, ...]:
    colour = COLOURS.get(fate.status, "white")
    rows = "" if fate.rows_loaded is None else f"{fate.rows_loaded:,}"
    return (
        escape(printable(fate.key.removeprefix("incoming/"))),
        f"[{colour}]{fate.status}[/{colour}]",
        rows,
        f"{fate.seconds:.2f} s",
        fate.error_code or "",
    )
