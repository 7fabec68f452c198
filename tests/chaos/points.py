"""Kills at the services' own failpoints: the N-th, 2N-th, … pass of each place is the last thing that its process does."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from chaos.nemesis import KILL, Act
from shared.failpoint import FOLDER, VARIABLE, Point, count_file

NAME = f"{KILL}at "
USUAL_PASSES_PER_FILE = 2.5
"""About so often a place is passed for each file of a run: events are doubled, and what was killed comes again."""
PASSES_PER_FILE = {
    Point.LOADER_CLAIMED: 1.1,
    Point.LOADER_COPIED: 0.65,
    Point.LOADER_LOCKED: 0.65,
    Point.LOADER_MERGED: 0.6,
    Point.LOADER_BEFORE_COMMIT: 1.1,
    Point.LOADER_AFTER_COMMIT: 1.1,
    Point.DECRYPTOR_TIDYING: 0.3,
    Point.DECRYPTOR_TIDIED: 0.3,
    Point.POLLER_SETTLED: 1.8,
    Point.POLLER_LETTER_SENT: 0.15,
    Point.POLLER_DELETED: 1.8,
    Point.POLLER_HANDED_BACK: 0.12,
}
"""Of those for which it is less: only the first of equal events gets so far, and few files are rejected or handed back."""
SHARE = {"decryptor": 0.12, "loader": 0.16, "poller": 0.02}
"""Of all kills of a run. A poller's death costs every message that it holds a receive, so there are few."""
SPREAD = 0.25
LEAST = 7
"""Three deaths in a row make a file `crashed`: were a place to kill more often, a file could meet three of them on its way."""


@dataclass(frozen=True)
class Trap:
    """One term for a failpoint: it kills at a certain pass or, `again`, at every so-many-th."""

    point: Point
    number: int
    again: bool

    @property
    def term(self) -> str:
        """As it stands in the environment."""
        return f"{self.point}=kill@{'*/' if self.again else ''}{self.number}"

    def kills(self, passes: int) -> int:
        """How often it has killed after so many passes."""
        return passes // self.number if self.again else int(passes >= self.number)


class Points:
    """The failpoints of a run.

    Args:
        traps: what kills where.
        folder: where passes are counted.
    """

    def __init__(self, traps: Sequence[Trap], folder: Path) -> None:
        self._traps = traps
        self._folder = folder
        self._disarmed: set[Trap] = set()

    def environment(self, service: str) -> dict[str, str]:
        """What arms a service."""
        terms = [trap.term for trap in self._traps if service_of(trap.point) == service]
        return {VARIABLE: ";".join(terms), FOLDER: str(self._folder)}

    def disarm(self) -> None:
        """The storm is over: what was to kill once and has not, never will. A restart would do so too, and hide what hangs."""
        for trap in self._traps:
            if not trap.again and not trap.kills(self._passes(trap)):
                self._disarmed.add(trap)
                with self._count(trap).open("ab") as count:
                    count.truncate(trap.number)

    def kills(self) -> dict[str, int]:
        """How often each place has killed, by the services' counts of passes."""
        kills = dict.fromkeys([NAME + trap.point for trap in self._traps], 0)
        for trap in self._traps:
            if trap not in self._disarmed:
                kills[NAME + trap.point] += trap.kills(self._passes(trap))
        return kills

    def acts(self, logs: Path) -> list[Act]:
        """The same kills with their times, which the services have logged just before."""
        return [Act(NAME + term.split("=")[0], moment, moment) for term, moment in _told(logs)]

    def _count(self, trap: Trap) -> Path:
        return count_file(self._folder, trap.term)

    def _passes(self, trap: Trap) -> int:
        path = self._count(trap)
        return path.stat().st_size if path.exists() else 0


def choose(kills: int, files: int) -> list[Trap]:
    """Traps for each place, so that all together they make their share of a run's kills; none for a run without."""
    return [] if not kills else [trap for point in Point for trap in _traps(point, kills, files)]


def _traps(point: Point, kills: int, files: int) -> list[Trap]:
    service = service_of(point)
    places = [each for each in Point if service_of(each) == service]
    wanted = max(1.0, kills * SHARE[service] / len(places))
    # A file passes places one after the other: with the same number everywhere it would die at each of them.
    apart = 1 + SPREAD * (2 * places.index(point) / (len(places) - 1) - 1)
    number = max(LEAST, round(apart * files * PASSES_PER_FILE.get(point, USUAL_PASSES_PER_FILE) / wanted))
    if service == "poller":
        # Its death makes all that it held come again, and with that the next one: without a bound they would never end.
        return [Trap(point, number * (nth + 1), again=False) for nth in range(round(wanted))]
    return [Trap(point, number, again=True)]


def left_over(kills: int) -> int:
    """How many of a run's kills are not made at failpoints."""
    return round(kills * (1 - sum(SHARE.values())))


def service_of(point: Point) -> str:
    """Whose place it is."""
    return point.split(".")[0]


def _told(logs: Path) -> Iterator[tuple[str, float]]:
    for path in logs.glob("*.log*"):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if '"event": "failpoint"' in line:
                told = json.loads(line)
                yield told["does"], datetime.fromisoformat(told["timestamp"]).timestamp()
