"""What a command prints: a table for a person, JSON for a script."""

import datetime as dt
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hikyaku.printable import printable

WIDEST = 1000
"""Columns, where there is no terminal that has some."""


def console() -> Console:
    """Standard output; what it is told is text, not markup. Into a pipe or a file, tables are as wide as they need."""
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDEST
    return Console(highlight=False, markup=False, soft_wrap=True, width=width)


def note(*lines: str) -> None:
    """Lines beside the result, on standard error. A line end within one is shown and not obeyed: the text may be of others."""
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print("\n".join(map(printable, lines)))


def json_line(value: Any) -> None:
    """One JSON document in one line; times are ISO 8601. A script reads the values as they are, a terminal is not steered by them."""
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    typer.echo("".join(c if printable(c) == c else json.dumps(c)[1:-1] for c in text))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> Table:
    """A table of cells as a person reads them; numbers stand to the right.

    Args:
        columns: headings.
        rows: cells, as many as headings; None is an empty one.
        title: above it, when not empty.
    """
    made = Table(title=title or None, title_justify="left", header_style="bold")
    lines = [list(row) for row in rows]
    for number, name in enumerate(columns):
        numeric = bool(lines) and all(isinstance(line[number], int | float | None) and not isinstance(line[number], bool) for line in lines)
        made.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for line in lines:
        made.add_row(*(Text(cell(value)) for value in line))
    return made


def pairs(values: Mapping[str, Any]) -> Table:
    """Names and values, one below the other."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in values.items():
        made.add_row(name, Text(cell(value)))
    return made


def counted(number: int, what: str) -> str:
    """`1 file`, `1,200 files`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def cell(value: Any) -> str:
    """A value as a person reads it: times to the second with their zone, numbers with commas, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, int):
        return f"{value:,}"
    return printable(str(value))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.datetime | dt.date) else str(value)
