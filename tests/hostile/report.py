"""The table that a run prints."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hostile.findings import PEAK_MIB, ROOM_MIB
from hostile.result import Result
from shared.printable import printable


def show(console: Console, result: Result) -> None:
    """Case → expected → seen, the batches, the memory, and what is wrong."""
    console.print(_cases(result), _batches(result), _memory(result))
    for finding in result.findings:
        console.print(Text(f"✗ {printable(finding)}", style="red"), soft_wrap=True)
    right = sum(verdict.is_right for verdict in result.verdicts)
    console.print(f"{right} of {len(result.verdicts)} as expected, {len(result.findings)} findings")


def _cases(result: Result) -> Table:
    table = Table("batch", "case", "expected", "seen", "")
    for verdict in result.verdicts:
        cells = (verdict.batch, verdict.case.name, verdict.case.expected, verdict.seen, "✓" if verdict.is_right else "✗")
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _batches(result: Result) -> Table:
    table = Table("batch", "cases", "out of the main queue", "good file behind")
    for name, cases, took, good in result.batches:
        table.add_row(name, str(cases), f"{took:.1f} s", f"loaded in {good:.1f} s")
    return table


def _memory(result: Result) -> Table:
    table = Table("RSS", "before", "after", f"within {ROOM_MIB:.0f} MiB", f"peak of a process, below {PEAK_MIB:.0f} MiB")
    for name, before in result.before.items():
        after = result.after[name]
        table.add_row(name, f"{before:.1f} MiB", f"{after:.1f} MiB", f"{after - before:+.1f} MiB", f"{result.peaks[name]:.1f} MiB")
    return table
