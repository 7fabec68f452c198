"""What must hold in the end."""

from collections.abc import Iterator

from line import Line

from hostile import memory, seen, stage
from hostile.result import Result
from shared.printable import printable

ROOM_MIB = 20.0
PEAK_MIB = 200.0
"""Of one process: no more than a good file of 300 MB may cost (`test_memory`)."""
UNFORESEEN = frozenset({"chain_failed", "thread_died", "dead_letter_refused", "datasets_kept", "signers_kept"})


def wrong(result: Result) -> Iterator[str]:
    for verdict in result.verdicts:
        if not verdict.is_right:
            yield f"{verdict.batch}, {verdict.case.name}: {verdict.case.expected} expected, {verdict.seen} seen {verdict.error}"


def died(before: dict[str, int], after: dict[str, int]) -> Iterator[str]:
    yield from (f"{name}: died and was started again" for name in before if before[name] != after[name])


def grown(result: Result) -> Iterator[str]:
    for name, before in result.before.items():
        if abs(result.after[name] - before) > ROOM_MIB:
            yield f"{name}: {before:.1f} MiB before, {result.after[name]:.1f} MiB after: more than {ROOM_MIB:.0f} apart"


def swollen(result: Result) -> Iterator[str]:
    yield from (
        f"{name}: a process held {peak:.1f} MiB: more than {PEAK_MIB:.0f}" for name, peak in result.peaks.items() if peak > PEAK_MIB
    )


def logs(line: Line) -> Iterator[str]:
    """No line could steer a terminal, and nobody met what he had not foreseen."""
    for service in memory.SERVICES:
        for path in sorted((line.folder / "logs").glob(f"{service}.log*")):
            for number, text in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
                if printable(text) != text:
                    yield f"{path.name}, line {number}: could steer a terminal"
        for told in seen.log_lines(line, service):
            if "exception" in told or told["event"] in UNFORESEEN:
                yield f"{service}: {told['event']}: {str(told.get('exception', '')).strip()[-300:]}"


def left_by_gpg(line: Line) -> Iterator[str]:
    """Each file's home is gone when the file is done, and with it the key in it."""
    yield from (f"gpg's home {path.name} is left" for path in sorted(stage.gnupg_dir(line.folder).iterdir()))
