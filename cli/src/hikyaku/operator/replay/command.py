"""`hikyaku replay`."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from hikyaku.errors import UserError
from hikyaku.operator import access, action, output
from hikyaku.operator.inventory import matching, queues
from hikyaku.operator.inventory.bucket import shelves
from hikyaku.operator.inventory.spans import moment, span
from hikyaku.operator.replay.order import Step, Verdict
from hikyaku.operator.replay.selection import Selection
from hikyaku.operator.replay.sending import send
from hikyaku.operator.settings import OperatorSettings

SHOWN = 20
COLUMNS = ("key", "version", "modified", "ledger", "replay")
UNCLEAR_HINT = (
    "unclear: which of two versions is newer can't be told without their events. Give S3 the newest again, as a new version: "
    "aws s3api copy-object (docs/operations.md#replay)"
)


@dataclass
class Plan:
    """What a replay will do: counts, and the first steps of each kind."""

    quiet: bool
    """Whether the ingest queue was empty. What this replay sends itself does not count."""
    counts: Counter[Verdict] = field(default_factory=Counter)
    first: dict[Verdict, list[Step]] = field(default_factory=lambda: {verdict: [] for verdict in Verdict})

    def add(self, step: Step) -> None:
        """Count a step, and keep it if there is room."""
        self.counts[step.verdict] += 1
        if len(kept := self.first[step.verdict]) < SHOWN:
            kept.append(step)

    @property
    def shown(self) -> list[Step]:
        """Those that are kept, by kind."""
        return [step for verdict in Verdict for step in self.first[verdict]]

    @property
    def is_stuck(self) -> bool:
        """Whether something is left for a person."""
        return self.counts[Verdict.UNCLEAR] > 0


def replay(
    key: Annotated[str, typer.Argument(metavar="[KEY]", help="An object's key.")] = "",
    *,
    prefix: Annotated[str, typer.Option("--prefix", help="Keys that begin so.", metavar="PREFIX")] = "",
    version: Annotated[str, typer.Option("--version", help="Only this version.", metavar="ID")] = "",
    since: Annotated[str, typer.Option("--since", help="Put since then: a time, or 7d.", metavar="TIME")] = "",
    until: Annotated[str, typer.Option("--until", help="Put before then.", metavar="TIME")] = "",
    missing: Annotated[
        bool, typer.Option("--missing", help="Only what the ledger does not know; not what failed or was rejected.")
    ] = False,
    grace: Annotated[
        str,
        typer.Option("--grace", help="Younger files that the ledger does not know are on their way; not asked with KEY.", metavar="SPAN"),
    ] = "10m",
    reason: action.Reason = "",
    dry_run: action.DryRun = False,
    yes: action.Yes = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Send the events of object versions again, for files that the ledger does not know, or knows as failed or rejected.

    What has its fate is passed over. Sent twice is harmless. Exit 1: for some versions, somebody has to look.

    Example: hikyaku replay --missing --since 7d --dry-run
    """
    if not (key or prefix or version or since or until or missing):
        hint = "A KEY, or one of --prefix, --version, --since, --until, --missing; `hikyaku audit` names what is missing."
        raise UserError("which versions?", hint=hint, exit_code=2)
    if key and prefix:
        raise UserError("KEY and --prefix: one of them", exit_code=2)
    settings = OperatorSettings.read("bucket", "queue_url", "database_url")
    selection = Selection(
        key,
        prefix,
        version,
        since=moment(since, "--since") if since else None,
        until=moment(until, "--until") if until else None,
        before=None if key or version else dt.datetime.now(dt.UTC) - span(grace, "--grace"),
        missing=missing,
    )
    waiting = queues.waiting(access.sqs(), settings.queue_url, "ingest queue")
    plan = _planned(settings, selection, quiet=not waiting)
    if not as_json:
        show(plan)
    to_send, sent = plan.counts[Verdict.SEND], None
    if to_send and action.is_wanted(f"Send events to the ingest queue: {to_send:,}?", yes=yes, dry_run=dry_run):
        sent = _do(settings, selection, plan, reason)
    if as_json:
        output.json_line(as_document(plan, sent))
    elif sent is not None:
        output.console().print(f"Events sent: {sent:,}. `hikyaku audit` shows what is left once they have their fate.")
    if plan.is_stuck:
        raise typer.Exit(1)


def _planned(settings: OperatorSettings, selection: Selection, *, quiet: bool) -> Plan:
    plan = Plan(quiet)
    with _steps(settings, selection, quiet=quiet) as steps:
        for step in steps:
            plan.add(step)
    return plan


def _do(settings: OperatorSettings, selection: Selection, plan: Plan, reason: str) -> int:
    """Look again, and send as it comes: nothing is held in memory, and what got its fate since is passed over."""
    sqs, sent = access.sqs(), 0
    target = {**selection.target(), "bucket": settings.bucket, "planned": plan.counts[Verdict.SEND]}
    with (
        action.written_down(settings.database_url, "replay", target, reason) as done,
        _steps(settings, selection, quiet=plan.quiet) as steps,
    ):
        done.outcome = "sent 0"
        for _ in send(sqs, settings.queue_url, settings.bucket, (step for step in steps if step.verdict is Verdict.SEND)):
            sent += 1
            done.outcome = f"sent {sent}"
    return sent


@contextmanager
def _steps(settings: OperatorSettings, selection: Selection, *, quiet: bool) -> Iterator[Iterator[Step]]:
    with access.ledger(settings.database_url, application="hikyaku replay") as connection:
        listed = shelves(access.s3(), settings.bucket, selection.listed)
        rows = matching.rows(connection, settings.bucket, selection.listed)
        yield selection.of(matching.pairs(listed, rows), quiet=quiet)


def as_document(plan: Plan, sent: int | None) -> dict[str, Any]:
    """The plan and what came of it, for programs."""
    steps = [
        {
            "key": step.version.key,
            "version_id": step.version.version_id,
            "replay": step.verdict,
            "status": step.status,
            "reason": step.reason,
        }
        for step in plan.shown
    ]
    return {"counts": {verdict: plan.counts[verdict] for verdict in Verdict}, "sent": sent, "first": steps}


def show(plan: Plan) -> None:
    """The plan for a person."""
    console = output.console()
    if not plan.counts:
        console.print("No version of this kind is in the bucket: nothing to send.")
        return
    console.print(output.table(COLUMNS, [_cells(step) for step in plan.shown]))
    counted = ", ".join(f"{verdict} {plan.counts[verdict]:,}" for verdict in Verdict if plan.counts[verdict])
    output.note(f"In all: {counted}. Up to {SHOWN} of each are shown.")
    if plan.is_stuck:
        output.note(UNCLEAR_HINT)


def _cells(step: Step) -> tuple[Any, ...]:
    said = f"{step.verdict}: {step.reason}" if step.reason else str(step.verdict)
    return step.version.key, step.version.version_id, step.version.modified, step.status or "unknown", said
