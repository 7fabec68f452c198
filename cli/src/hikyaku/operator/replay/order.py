"""In which order a replayed event puts its version among the others of its key, so that it never puts an older one over a newer one.

S3's own order of a key's versions is the order of their sequencers, which only the events know: a lost event has taken its sequencer with
it. What is known is the order in which S3 lists the versions, and their times. The loader compares two versions by sequencer where both
have one, and else by time (loader/sql/superseded.sql). So a replayed event has, of these, the first that fits:

1. what the ledger's row says, where there is one (rejected, failed): it is the event as it came.
2. the lowest sequencer, where a newer version is loaded that has a sequencer: by it, the loader finds the version superseded, certainly.
3. no sequencer, and LastModified as its time, where by time it comes after every older version and before every newer one, whether those
   are loaded before it or after it. AWS cuts LastModified to the second. Where an older version has the same second, the newest one's
   time is a microsecond later, which is still within its second.

Where none fits, the event is not sent: it `waits` for another version, or is `unclear`. An event that is not lost but late has a time of
its own, up to as much after LastModified as the upload took (of a multipart upload, LastModified is its beginning). So while the ingest
queue is not empty, a version waits until the ledger has the fate of every older one.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from hikyaku.operator.inventory.bucket import Version
from hikyaku.operator.inventory.matching import Pair, Row

LOWEST = "0"
"""Below every sequencer of S3's: they are compared as text, the shorter filled up with zeros."""
NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)
WITHIN_ITS_SECOND = dt.timedelta(microseconds=1)
IN_TABLE = ("loaded", "duplicate")
AGAIN = ("rejected", "failed")
"""What the loader takes up again; with anything else it settles at once."""
OVER = ("superseded", "tested")
"""Never in the table, whatever comes."""


class Verdict(StrEnum):
    """What a replay makes of a version."""

    SEND = "send"
    SETTLED = "settled"
    """The ledger has its fate."""
    WAITS = "waits"
    """Another version goes first: run it again once that has its fate."""
    UNCLEAR = "unclear"
    """Its place among the other versions can't be told."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with one version."""

    version: Version
    verdict: Verdict
    status: str | None
    """The ledger's; None without a row."""
    event_time: dt.datetime
    sequencer: str = ""
    reason: str = ""
    """Why it is not sent, where the status does not say so."""


@dataclass(slots=True)
class _Newer:
    """What is newer than the version that is looked at."""

    has_sequencer: bool = False
    """One with a sequencer is in the table."""
    loaded: dt.datetime | None = None
    """The latest time of those in the table."""
    open: dt.datetime | None = None
    """The earliest time that one may come with that may still get into the table."""
    open_moves: bool = False
    """Whether that one is under way, or will be sent."""

    def take_up(self, step: Step, row: Row | None, time: dt.datetime) -> None:
        """The next older version will have this one before it."""
        if row is not None and row.status in IN_TABLE:
            # Zeros alone are no sequencer: to the loader they equal the lowest.
            self.has_sequencer |= bool(row.sequencer.strip("0"))
            self.loaded = max(self.loaded or time, time)
        elif row is None or row.status not in OVER:
            # Its own event may still come, with a time that is cut to the second.
            earliest = time.replace(microsecond=0) if row is None else time
            if self.open is None or earliest <= self.open:
                self.open, self.open_moves = earliest, step.verdict is not Verdict.UNCLEAR and step.status != "rejected"


@dataclass(frozen=True, slots=True)
class _Older:
    """What is older than the version that is looked at."""

    loaded: dt.datetime = NEVER
    """The latest time of those in the table."""
    open: dt.datetime = NEVER
    """The latest time of those that may still get there."""
    is_unknown: bool = False
    """Whether the ledger does not know one of them."""

    def with_one_more(self, row: Row | None, time: dt.datetime) -> "_Older":
        """The next newer version will have this one behind it."""
        if row is not None and row.status in OVER:
            return self
        if row is not None and row.status in IN_TABLE:
            return replace(self, loaded=max(self.loaded, time))
        return replace(self, open=max(self.open, time), is_unknown=self.is_unknown or row is None)


def steps(pair: Pair, *, quiet: bool) -> Iterator[Step]:
    """What is to be done with each version of a key, newest first.

    Args:
        pair: the key's versions and rows.
        quiet: whether the ingest queue is empty, so that no event is late.
    """
    placed = [(version, pair.row(version)) for version in pair.shelf.versions]
    older, newer = _older(placed), _Newer()
    for place, (version, row) in enumerate(placed):
        time = _time(placed, place)
        step = _known(version, row) if row is not None else _unknown(version, time, newer, older[place + 1], quiet=quiet)
        newer.take_up(step, row, time)
        yield step


def _known(version: Version, row: Row) -> Step:
    verdict = Verdict.SEND if row.status in AGAIN else Verdict.SETTLED
    return Step(version, verdict, row.status, row.event_time, row.sequencer)


def _unknown(version: Version, time: dt.datetime, newer: _Newer, older: _Older, *, quiet: bool) -> Step:
    if newer.has_sequencer:
        return Step(version, Verdict.SEND, None, time, LOWEST)
    if newer.loaded is not None:
        verdict = Verdict.SEND if newer.loaded > time else Verdict.UNCLEAR
        return Step(version, verdict, None, time, reason="" if verdict is Verdict.SEND else "a newer version of the same time is loaded")
    if newer.open is not None and newer.open <= time:
        verdict = Verdict.WAITS if newer.open_moves else Verdict.UNCLEAR
        return Step(version, verdict, None, time, reason="a newer version of the same time comes first")
    if older.is_unknown and not quiet:
        return Step(version, Verdict.WAITS, None, time, reason="an older version comes first, as long as messages are in the ingest queue")
    if older.loaded > time or older.open >= time:
        return Step(version, Verdict.UNCLEAR, None, time, reason="an older version has a later time")
    return Step(version, Verdict.SEND, None, time)


def _time(placed: list[tuple[Version, Row | None]], place: int) -> dt.datetime:
    """The time by which the loader knows the version, or will."""
    version, row = placed[place]
    if row is not None:
        return row.event_time
    newer_shares = place > 0 and placed[place - 1][0].modified == version.modified
    older_shares = place + 1 < len(placed) and placed[place + 1][0].modified == version.modified
    return version.modified + WITHIN_ITS_SECOND if older_shares and not newer_shares else version.modified


def _older(placed: list[tuple[Version, Row | None]]) -> list[_Older]:
    """For each place, what is there from it on."""
    found = [_Older()]
    for place in range(len(placed) - 1, -1, -1):
        found.append(found[-1].with_one_more(placed[place][1], _time(placed, place)))
    return found[::-1]
