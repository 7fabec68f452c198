"""The table of a run."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from chaos.kills import KILLS
from chaos.model import Finding, Harm
from chaos.nemesis import Act
from chaos.referee import Settled
from chaos.sender import Sent
from chaos.stack import MAX_RECEIVES, TEMPLATE_RECEIVES

WIDTH = 190
STORIES = 40
KILL_NAMES = frozenset(kill.name for kill in KILLS)
NOT_OF_A_FILE = (Harm.IN_QUEUE, Harm.IN_SPOOL, Harm.REDRIVE)


@dataclass(frozen=True)
class Run:
    """All that is known of a run when it is over."""

    sent: Sequence[Sent]
    acts: Sequence[Act]
    settled: Settled
    findings: Sequence[Finding]
    receives: Sequence[int]
    """How often SQS handed out each message."""

    @property
    def kills(self) -> int:
        """How many processes, or workers as a whole, were killed."""
        return sum(act.name in KILL_NAMES for act in self.acts)

    @property
    def outage_kinds(self) -> int:
        """How many kinds of outage there were."""
        return len({act.name for act in self.acts} - KILL_NAMES)

    def struck(self, acts: Iterable[Act]) -> set[int]:
        """Numbers of the files that were under way at one of these."""
        struck: set[int] = set()
        ends = {(s.file.key, s.version_id): s for s in self.sent}
        settled = {key: entry.updated for key, entry in self.settled.observed.ledger.items()}
        for act in acts:
            struck.update(s.file.number for key, s in ends.items() if s.announced <= act.ended and settled.get(key, math.inf) >= act.begun)
        return struck

    def recoveries(self, acts: Iterable[Act]) -> list[float]:
        """Seconds from the end of each to the next file that has its fate, where one waited; the clock stands during outages."""
        fates = sorted(entry.updated for entry in self.settled.observed.ledger.values())
        outages = _union([(act.begun, act.ended) for act in self.acts if act.name not in KILL_NAMES])
        found = []
        for end in (act.ended for act in acts if self._is_waited_for(act.ended)):
            following = next((fate for fate in fates if fate > end), None)
            if following is not None:
                found.append(following - end - _overlap(end, following, outages))
        return found

    def _is_waited_for(self, moment: float) -> bool:
        ledger = self.settled.observed.ledger
        return any(
            s.announced <= moment < ledger[s.file.key, s.version_id].updated for s in self.sent if (s.file.key, s.version_id) in ledger
        )


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


def percentile(values: Sequence[float], share: float) -> str:
    """As text, in seconds; empty when nothing was measured."""
    if not values:
        return ""
    return f"{sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]:.1f}"


def show(run: Run, console: Console) -> None:
    """Print the table, and the story of each violation."""
    table = Table("nemesis", "times", "files", *Harm, "p50 s", "p99 s", title="What was done, and what became of the files under way")
    for column in table.columns[1:]:
        column.justify = "right"
    by_name: dict[str, list[Act]] = defaultdict(list)
    for act in run.acts:
        by_name[act.name].append(act)
    for name in sorted(by_name, key=lambda name: (name not in KILL_NAMES, name)):
        _add(table, name, by_name[name], run)
    table.add_section()
    kills = [act for act in run.acts if act.name in KILL_NAMES]
    _add(table, "all kills", kills, run)
    _add(table, f"all outages ({run.outage_kinds} kinds)", [act for act in run.acts if act.name not in KILL_NAMES], run)
    everything = [str(sum(finding.harm is harm for finding in run.findings)) for harm in Harm]
    recoveries = run.recoveries(run.acts)
    times, files = str(len(run.acts)), str(len(run.sent))
    table.add_row("[bold]the whole run", times, files, *everything, percentile(recoveries, 0.5), percentile(recoveries, 0.99))
    console.print(table)
    console.print(
        "Recovery: from the end of a nemesis to the next file that has its fate, where one waited; while an outage lasts, the clock stands."
    )
    beyond = sum(count > TEMPLATE_RECEIVES for count in run.receives)
    most = f"SQS handed a message out {max(run.receives, default=0)} times at the most (limit {MAX_RECEIVES})"
    more = f"{beyond} of {len(run.receives)} messages more often than the {TEMPLATE_RECEIVES} times of aws/stack.yaml"
    console.print(f"{most}; {more}.", highlight=False, soft_wrap=True)
    for finding in run.findings[:STORIES]:
        console.print(f"[red]{finding.harm}[/red]: {finding.story}", highlight=False, soft_wrap=True)
        _tell(finding, run, console)


def _add(table: Table, name: str, acts: Sequence[Act], run: Run) -> None:
    struck = run.struck(acts)
    harms = [str(sum(f.harm is harm and f.file in struck for f in run.findings)) if harm not in NOT_OF_A_FILE else "" for harm in Harm]
    recoveries = run.recoveries(acts)
    table.add_row(name, str(len(acts)), str(len(struck)), *harms, percentile(recoveries, 0.5), percentile(recoveries, 0.99))


def _tell(finding: Finding, run: Run, console: Console) -> None:
    """What struck while the file was under way."""
    if finding.file is None:
        return
    sent = next(s for s in run.sent if s.file.number == finding.file)
    story = [
        f"{act.name} {act.begun - sent.announced:+.1f}…{act.ended - sent.announced:+.1f} s"
        for act in run.acts
        if finding.file in run.struck([act])
    ]
    console.print(f"  version {sent.version_id}; meanwhile: {'; '.join(story[:12])}", highlight=False, soft_wrap=True)
