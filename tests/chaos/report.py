"""The tables of a run."""

from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from chaos import recovery
from chaos.model import Finding, Harm
from chaos.nemesis import Act
from chaos.points import NAME as AT_POINT
from chaos.recovery import Recoveries, percentile
from chaos.result import Run

WIDTH = 190
STORIES = 40
NOT_OF_A_FILE = (Harm.IN_QUEUE, Harm.IN_SPOOL, Harm.REDRIVE, Harm.TOO_SLOW)


def show(run: Run, console: Console) -> None:
    """Print the tables, and the story of each violation."""
    console.print(_nemeses(run))
    console.print(
        "Recovery: from the end of a nemesis to the next file that has its fate, where one waited; while an outage lasts, the clock stands."
    )
    console.print(recovery.table(run))
    for line in (_receives(run), _at_points(run), _crashed(run)):
        console.print(line, highlight=False, soft_wrap=True)
    for finding in first(run.findings):
        console.print(f"[red]{finding.harm}[/red]: {finding.story}", highlight=False, soft_wrap=True)
        _tell(finding, run, console)
    if (more := len(run.findings) - STORIES) > 0:
        console.print(f"… and {more} more", highlight=False)


def first(findings: Sequence[Finding]) -> list[Finding]:
    """Those to be told, some dozens. What is about no single file comes first: it may be why the others are there."""
    return sorted(findings, key=lambda finding: finding.file is not None)[:STORIES]


def _nemeses(run: Run) -> Table:
    table = Table("nemesis", "times", "files", *Harm, "p50 s", "p99 s", title="What was done, and what became of the files under way")
    for column in table.columns[1:]:
        column.justify = "right"
    by_name: dict[str, list[Act]] = defaultdict(list, {name: [] for name in run.point_kills})
    for act in run.acts:
        by_name[act.name].append(act)
    recoveries = Recoveries(run)
    for name in sorted(by_name, key=lambda name: (name not in run.kill_names, name)):
        _add(table, name, by_name[name], run, recoveries, times=run.point_kills.get(name))
    table.add_section()
    _add(table, "all kills", run.kills, run, recoveries, times=run.kill_count)
    _add(table, f"all outages ({run.outage_kinds} kinds)", run.outages, run, recoveries)
    everything = [str(sum(finding.harm is harm for finding in run.findings)) for harm in Harm]
    times = str(run.kill_count + len(run.outages))
    table.add_row("[bold]the whole run", times, str(len(run.sent)), *everything, *_percentiles(recoveries.after(run.acts)))
    return table


def _add(table: Table, name: str, acts: Sequence[Act], run: Run, recoveries: Recoveries, *, times: int | None = None) -> None:
    struck = run.struck(acts)
    harms = [str(sum(f.harm is harm and f.file in struck for f in run.findings)) if harm not in NOT_OF_A_FILE else "" for harm in Harm]
    times = len(acts) if times is None else times
    table.add_row(name, str(times), str(len(struck)), *harms, *_percentiles(recoveries.after(acts)))


def _percentiles(values: Sequence[float]) -> list[str]:
    return [f"{percentile(values, share):.1f}" if values else "" for share in (0.5, 0.99)]


def _receives(run: Run) -> str:
    half = run.most_receives / 2
    beyond = sum(count > half for count in run.receives)
    most = f"SQS handed a message out {max(run.receives, default=0)} times at the most; its limit is {run.most_receives}"
    return f"{most}, and {beyond} of {len(run.receives)} messages passed half of it."


def _at_points(run: Run) -> str:
    told = sum(act.name.startswith(AT_POINT) for act in run.acts)
    fired = sum(count > 0 for count in run.point_kills.values())
    count = sum(run.point_kills.values())
    return f"{fired} of {len(run.point_kills)} failpoints killed, {count} times by the counts of passes; the services' logs tell of {told}."


def _crashed(run: Run) -> str:
    return f"{len(run.crashed)} files lost three processes to kills and ended as `crashed`, the product's limit; a redrive loads them."


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
