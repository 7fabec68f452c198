"""`hikyaku audit`."""

import datetime as dt
from dataclasses import asdict
from typing import Annotated

import typer

from hikyaku.operator import access, output
from hikyaku.operator.audit import purpose
from hikyaku.operator.audit.finding import MEANING, Report
from hikyaku.operator.audit.judge import Judge
from hikyaku.operator.audit.sequence import gaps
from hikyaku.operator.inventory import matching, queues
from hikyaku.operator.inventory.bucket import INCOMING, shelves
from hikyaku.operator.inventory.spans import moment, span
from hikyaku.operator.settings import OperatorSettings
from hikyaku.printable import printable

EVER = dt.datetime.min.replace(tzinfo=dt.UTC)


def audit(
    *,
    prefix: Annotated[str, typer.Option("--prefix", help="Only keys that begin so.", metavar="PREFIX")] = INCOMING,
    since: Annotated[str, typer.Option("--since", help="Only what came since: a time, or 7d.", metavar="TIME")] = "",
    grace: Annotated[str, typer.Option("--grace", help="For which a file may be on its way.", metavar="SPAN")] = "10m",
    kept_for: Annotated[
        str,
        typer.Option(
            "--kept-for", help="For which the bucket keeps replaced versions: NoncurrentVersionDays of the stack.", metavar="SPAN"
        ),
    ] = "30d",
    most: Annotated[int, typer.Option("--most", min=1, max=100_000, help="Findings to list; all are counted.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Hold every object version against the ledger, the dead-letter queue and the senders' numbers. Changes nothing.

    Lists what needs a person, each with the command that mends it. Exit 0: nothing, 1: something.

    Example: hikyaku audit --prefix incoming/orders/ --since 7d
    """
    settings = OperatorSettings.read("bucket", "queue_url", "dlq_url", "database_url")
    spans = span(grace, "--grace"), span(kept_for, "--kept-for")
    report = examine(settings, prefix, moment(since, "--since") if since else EVER, *spans, most=most)
    if as_json:
        output.json_line(as_document(report))
    else:
        show(report)
    if report.found:
        raise typer.Exit(1)


def examine(
    settings: OperatorSettings, prefix: str, since: dt.datetime, grace: dt.timedelta, kept_for: dt.timedelta, *, most: int
) -> Report:
    """The audit itself, in one pass over the bucket and the ledger.

    Raises:
        UserError: something is away or says no.
    """
    report, now, sqs = Report(most), dt.datetime.now(dt.UTC), access.sqs()
    after_load = purpose.after_load(settings.datasets)
    letters = queues.letters(sqs, settings.dlq_url)
    waiting = queues.waiting(sqs, settings.queue_url, "ingest queue")
    report.counts.update(in_ingest_queue=waiting, dead_letters=letters.read)
    _warn(report, settings, letters, waiting)
    judge = Judge(settings.bucket, now, grace, since, kept_for, letters, waiting == 0, after_load)
    with access.ledger(settings.database_url, application="hikyaku audit") as connection:
        listed = shelves(access.s3(), settings.bucket, prefix)
        for pair in matching.pairs(listed, matching.rows(connection, settings.bucket, prefix)):
            judge.look(pair, report)
        for finding in gaps(connection, settings.bucket, prefix, since):
            report.add(finding)
    return report


def _warn(report: Report, settings: OperatorSettings, letters: queues.Letters, waiting: int) -> None:
    if waiting:
        report.notes.append(f"{waiting} messages are in the ingest queue: what is listed as never loaded may only be late")
    if not letters.is_complete:
        report.notes.append(
            f"{letters.unread} messages of the dead-letter queue are in another's hands, or too many:"
            " that a file has no message there can't be said, and is not looked for"
        )
    if not settings.datasets:
        report.notes.append("HIKYAKU_DATASETS is not set: objects that after_load removes are taken for lost")


def as_document(report: Report) -> dict[str, object]:
    """The report for programs."""
    return {
        "found": report.found,
        "kinds": dict(report.kinds),
        "findings": [asdict(each) for each in report.findings],
        "counts": dict(sorted(report.counts.items())),
        "notes": report.notes,
    }


def show(report: Report) -> None:
    """The report for a person: by kind, each finding with its command."""
    console = output.console()
    for kind in sorted(report.kinds, key=list(MEANING).index):
        console.print(f"{MEANING[kind]}: {report.kinds[kind]:,}", style="bold")
        for each in report.findings:
            if each.kind is kind:
                version = f" ({each.version_id})" if each.version_id else ""
                console.print(printable(f"  {each.key}{version}"))
                console.print(printable(f"      {each.what}"))
                console.print(printable(f"      → {each.mend}"))
    if (left_off := report.found - len(report.findings)) > 0:
        output.note(f"{left_off:,} more are not listed: --most, or narrow it down by --prefix or --since.")
    for note in report.notes:
        output.note(f"Note: {note}.")
    counted = ", ".join(f"{name} {count:,}" for name, count in sorted(report.counts.items()))
    output.note(f"Counted: {counted}.")
    console.print(f"Findings: {report.found:,}." if report.found else "Nothing needs a person.")
