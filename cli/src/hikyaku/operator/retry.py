"""`hikyaku retry`: one file once more."""

from typing import Annotated, Any

import psycopg
import typer

from hikyaku.errors import UserError
from hikyaku.operator import access, action, letters, output, redrive
from hikyaku.operator.event import created
from hikyaku.operator.settings import OperatorSettings
from hikyaku.printable import printable

FILE = """
WITH known AS (
    SELECT f.bucket, f.key, f.version_id, f.file_id, f.status, f.error_code, f.etag, f.size_bytes, f.sequencer, f.event_time
    FROM hikyaku.files AS f
    WHERE f.key IN (%(name)s, 'incoming/' || %(name)s) OR f.file_id = %(name)s
    UNION ALL
    SELECT
        o.bucket, o.key, o.version_id, o.file_id, 'forgotten', NULL, o.entry ->> 'etag', (o.entry ->> 'size_bytes')::bigint,
        o.entry ->> 'sequencer', (o.entry ->> 'event_time')::timestamptz
    FROM hikyaku.forgotten AS o
    WHERE
        (o.key IN (%(name)s, 'incoming/' || %(name)s) OR o.file_id = %(name)s)
        AND NOT EXISTS (
            SELECT FROM hikyaku.files AS f WHERE f.bucket = o.bucket AND f.key = o.key AND f.version_id = o.version_id
        )
)

SELECT * FROM known
WHERE %(version)s::text IS NULL OR version_id = %(version)s
ORDER BY event_time DESC, version_id DESC
LIMIT 1
"""
OPEN = ("rejected", "failed", "forgotten")
"""What a loader takes up again; of anything else it would say that it knows it."""
Name = Annotated[str, typer.Argument(metavar="KEY|FILE_ID", help="Object key, with or without incoming/; or the id that logs have.")]
Version = Annotated[str | None, typer.Option("--version", help="This version; else the newest.", metavar="VERSION_ID")]


def retry(
    name: Name,
    version: Version = None,
    *,
    reason: action.Reason = "",
    dry_run: action.DryRun = False,
    yes: action.Yes = False,
) -> None:
    """Try one file once more: its message of the dead-letter queue, or else a new event of it, goes to the ingest queue.

    Mend first what was wrong. For a file that was loaded, say hikyaku forget first.

    Example: hikyaku retry incoming/orders/2026-11.csv.gz.age --reason "the identity is there now"
    """
    settings = OperatorSettings.read("database_url", "queue_url", "dlq_url")
    with access.ledger(settings.database_url) as connection:
        file = of(connection, name, version)
    _can_be_tried(file)
    with access.told("the file can't be tried again"):
        client = access.sqs()
        own = [letter for letter in letters.look(client, settings.dlq_url) if letter.announces(file)]
        way = "its message of the dead-letter queue" if own else "a new event of it"
        output.note(f"{printable(file['key'])}, version {file['version_id']}, is {file['status']}: {way} goes to the ingest queue.")
        if not action.is_wanted("Try it again?", yes=yes, dry_run=dry_run):
            return
        target = {name: file[name] for name in ("key", "version_id", "file_id", "status", "error_code")}
        with action.written_down(settings.database_url, "retry", target, reason) as done:
            if own:
                redrive.move(client, settings, own)
            else:
                client.send_message(QueueUrl=settings.queue_url, MessageBody=event(file))
            done.outcome = f"done: {way}"
    output.note(f"It is on its way: hikyaku show {printable(file['key'])}")


def of(connection: psycopg.Connection[Any], name: str, version: str | None) -> dict[str, Any]:
    """What the ledger says of a file version, or said before it was forgotten (`status` is `forgotten` then).

    Raises:
        UserError: it knows none.
    """
    found: dict[str, Any] | None = connection.execute(FILE, {"name": name, "version": version}).fetchone()
    if found is None:
        hint = "`hikyaku files` lists what it knows; `hikyaku replay` brings what never came."
        raise UserError(f"the ledger knows no file {printable(name)}", hint=hint)
    return found


def _can_be_tried(file: dict[str, Any]) -> None:
    key, status = printable(file["key"]), file["status"]
    if status == "staged":
        raise UserError(f"{key} waits for the rest of its group", hint=f"hikyaku show {key} says what is lacking.")
    if status not in OPEN:
        raise UserError(f"{key} is {status}: tried again, it would stay so", hint=f"To load it once more: hikyaku forget {key}")


def event(file: dict[str, Any]) -> str:
    """The event of this version once more.

    Args:
        file: a row of the ledger.
    """
    unversioned = file["version_id"].startswith("etag:")
    return created(
        file["bucket"],
        file["key"],
        None if unversioned else file["version_id"],
        size=file["size_bytes"],
        etag=file["etag"],
        sequencer=file["sequencer"],
        time=file["event_time"],
        reason="hikyaku retry",
    )
