"""What setup did, in a table; in plain lines where no terminal shows it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from rich.console import Console
from rich.table import Table


class State(StrEnum):
    """What became of a file."""

    MADE = "made"
    KEPT = "kept"
    MENDED = "mended"
    FILLED = "filled"
    MISSING = "missing"
    WRONG = "wrong"


COLOURS = {State.MADE: "green", State.MENDED: "yellow", State.FILLED: "green", State.MISSING: "red", State.WRONG: "red"}


@dataclass(frozen=True, slots=True)
class Row:
    """One file or folder."""

    file: str
    state: State
    reader: str
    note: str = ""


@dataclass(slots=True)
class Report:
    """All that a person is told.

    Attributes:
        rows: what became of the files.
        asked: what only a person can give: where, and how to get it.
        recipients: public keys (age1…) by the file of their identity.
        signers: the line by which senders check receipts.
        later: what can wait, and had better not be forgotten.
    """

    rows: list[Row] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)
    recipients: dict[str, str] = field(default_factory=dict)
    signers: str = ""
    later: list[str] = field(default_factory=list)

    def is_ready(self) -> bool:
        """Whether nothing is missing or wrong."""
        return not self.asked and not any(row.state in {State.MISSING, State.WRONG} for row in self.rows)

    def show(self, console: Console) -> None:
        """Print it."""
        if console.is_terminal:
            console.print(_table(self.rows))
        else:
            _print(console, _columns([(row.file, row.state, row.reader, row.note) for row in self.rows]))
        if self.asked:
            _print(console, ["", "What only you can give:", *_columns([(f"  {where}", how) for where, how in self.asked.items()])])
        if self.later:
            _print(console, ["", *self.later])
        if self.signers:
            _print(console, ["", "The line by which senders check receipts, for ssh-keygen -Y verify:", f"  {self.signers}"])
        if self.recipients:
            several = len(self.recipients) > 1
            lines = [f"  {key}{f'  ({file})' if several else ''}" for file, key in self.recipients.items()]
            _print(console, ["", "The recipient to give to the senders:", *lines])


def _table(rows: Iterable[Row]) -> Table:
    table = Table("file", "state", "read by", "")
    for row in rows:
        colour = COLOURS.get(row.state, "dim")
        table.add_row(row.file, f"[{colour}]{row.state}[/{colour}]", row.reader, row.note)
    return table


def _columns(lines: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _print(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
