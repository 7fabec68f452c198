"""How soon files flow again, and whether that is as soon as was promised."""

import math
from collections.abc import Iterable, Sequence

from rich.table import Table

from chaos import second
from chaos.kills import POLLER
from chaos.model import Finding, Harm
from chaos.nemesis import Act
from chaos.result import Run

BEYOND_VISIBILITY_S = 10.0
AFTER_OUTAGE_S = 10.0
LONG_OUTAGE_S = 60.0
ENOUGH = 500
"""Kills from which on a 99th percentile says something."""


class Recoveries:
    """The times of a run: from a moment to the next file that has its fate, if a file waited for one."""

    def __init__(self, run: Run) -> None:
        self._run = run
        ledger = run.settled.observed.ledger
        self._fates = sorted(entry.updated for entry in ledger.values())
        entries = [(sent, ledger.get((sent.file.key, sent.version_id))) for sent in run.sent]
        self._waits = [(sent.announced, entry.updated) for sent, entry in entries if entry]
        self._outages = _union((act.begun, act.ended) for act in run.outages)

    def after(self, acts: Iterable[Act]) -> list[float]:
        """Seconds after the end of each; the clock stands while there is an outage."""
        ends = [(act.ended, self._next_fate(act.ended)) for act in acts]
        return [fate - end - _overlap(end, fate, self._outages) for end, fate in ends if fate]

    def after_long_outages(self) -> list[float]:
        """Seconds after the end of each outage of a minute and more, if nothing else went wrong in the time that is allowed for it."""
        ends = [(act, self._next_fate(act.ended)) for act in long_outages(self._run)]
        return [fate - act.ended for act, fate in ends if fate and not self._is_disturbed(act, min(fate, act.ended + AFTER_OUTAGE_S))]

    def _next_fate(self, moment: float) -> float | None:
        if not any(begin <= moment < end for begin, end in self._waits):
            return None
        return next((fate for fate in self._fates if fate > moment), None)

    def _is_disturbed(self, outage: Act, until: float) -> bool:
        """By another outage, or by the death of a poller, whose messages are invisible for a while."""
        others = any(act is not outage and act.begun < until and act.ended > outage.ended for act in self._run.outages)
        deaths = (act.ended for act in self._run.kills if POLLER in act.name)
        return others or any(outage.ended - self._run.visibility_s < death < until for death in deaths)


def after_kill_s(run: Run) -> float:
    """Seconds within which a kill must be recovered from."""
    return run.visibility_s + BEYOND_VISIBILITY_S


def long_outages(run: Run) -> list[Act]:
    """Those after which files must flow again soon.

    A second poller is none of them: it may end by a kill, and what it held is invisible for a while.
    """
    return [act for act in run.outages if round(act.ended - act.begun) >= LONG_OUTAGE_S and act.name != second.NAME]


def check(run: Run) -> list[Finding]:
    """What was promised and not kept."""
    recoveries = Recoveries(run)
    after_kills, after_outages = recoveries.after(run.kills), recoveries.after_long_outages()
    found = []
    if len(after_kills) >= ENOUGH and (p99 := percentile(after_kills, 0.99)) > (promised := after_kill_s(run)):
        found.append(
            f"of the kills, p99 was recovered from after {p99:.1f} s: {promised:.0f} s are promised, the visibility timeout and 10 s"
        )
    if after_outages and (worst := max(after_outages)) > AFTER_OUTAGE_S:
        found.append(f"files flowed again {worst:.1f} s after an outage of {LONG_OUTAGE_S:.0f} s: {AFTER_OUTAGE_S:.0f} s are promised")
    if (most := max(run.receives, default=0)) >= run.most_receives:
        found.append(f"SQS handed a message out {most} times, and {run.most_receives} are all that aws/stack.yaml allows")
    return [Finding(Harm.TOO_SLOW, None, story) for story in found]


def table(run: Run) -> Table:
    """What was measured beside what is promised."""
    recoveries = Recoveries(run)
    shown = Table(
        "recovery", "times", "measured", "p50 s", "p99 s", "most s", "promised", title="From its end to the next file that has its fate"
    )
    for column in shown.columns[1:]:
        column.justify = "right"
    after_kills, after_outages = recoveries.after(run.kills), recoveries.after_long_outages()
    long = long_outages(run)
    shown.add_row("a kill", str(len(run.kills)), str(len(after_kills)), *_figures(after_kills), f"p99 ≤ {after_kill_s(run):.0f} s")
    name = f"an outage of {LONG_OUTAGE_S:.0f} s and more"
    shown.add_row(name, str(len(long)), str(len(after_outages)), *_figures(after_outages), f"≤ {AFTER_OUTAGE_S:.0f} s")
    return shown


def _figures(values: Sequence[float]) -> list[str]:
    return [f"{percentile(values, share):.1f}" if values else "" for share in (0.5, 0.99, 1.0)]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that no smaller share of them exceeds."""
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


def _union(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same time, without overlaps."""
    union: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if union and begin <= union[-1][1]:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((begin, end))
    return union


def _overlap(begin: float, end: float, spans: Iterable[tuple[float, float]]) -> float:
    return sum(max(0.0, min(end, last) - max(begin, first)) for first, last in spans)
