"""`hikyaku show`: all that is known of one key."""

from typing import Annotated, Any

import psycopg
import typer

from hikyaku.errors import UserError
from hikyaku.operator import access, advice, letters, output
from hikyaku.operator.files import Json
from hikyaku.operator.letters import Letter
from hikyaku.operator.settings import OperatorSettings
from hikyaku.printable import printable

FILES = """
SELECT * FROM hikyaku.files
WHERE (key IN (%(name)s, 'incoming/' || %(name)s) OR file_id = %(name)s) AND (%(version)s::text IS NULL OR version_id = %(version)s)
ORDER BY event_time, version_id
"""
WRONG = """
SELECT line_number, column_name, error_code, error FROM hikyaku.rejected_rows
WHERE (bucket, key, version_id) = (%(bucket)s, %(key)s, %(version_id)s) ORDER BY line_number LIMIT 20
"""
GROUP = 'SELECT "group", status, parts, arrived, lacks, expires_at, error FROM hikyaku.group_progress WHERE group_id = %(group_id)s'
ROWS = ("in_file", "loaded", "changed", "inserted", "updated", "unchanged", "deleted", "rejected")


def show(
    name: Annotated[str, typer.Argument(metavar="KEY|FILE_ID", help="Object key, with or without incoming/; or the id that logs have.")],
    version: Annotated[str | None, typer.Option("--version", help="This version only.", metavar="VERSION_ID")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show every version of a key: who sent it, what opened it, what it did to its table, and what to do.

    Example: hikyaku show incoming/orders/2026-11.csv.gz.age
    """
    with access.ledger(OperatorSettings.read("database_url").database_url) as connection:
        found = [_with_details(connection, row) for row in versions(connection, name, version)]
    waiting, unknown = _waiting()
    for file in found:
        own = [letter.as_json() for letter in waiting if letter.announces(file)]
        file["dead_letters"] = {"unknown": unknown} if unknown else own
        if as_json:
            output.json_line(file)
        else:
            _print(file)


def _waiting() -> tuple[list[Letter], str]:
    """What is in the dead-letter queue, or why nobody knows."""
    url = OperatorSettings.read().dlq_url
    if not url:
        return [], "HIKYAKU_DLQ_URL is not set"
    try:
        with access.told("the dead-letter queue can't be read"):
            return letters.look(access.sqs(), url), ""
    except UserError as error:
        return [], error.message


def versions(connection: psycopg.Connection[Any], name: str, version: str | None = None) -> list[dict[str, Any]]:
    """The ledger's rows of a key or a file id, oldest first.

    Raises:
        UserError: there is none.
    """
    found = connection.execute(FILES, {"name": name, "version": version}).fetchall()
    if not found:
        hint = "`hikyaku files` lists what it knows; `hikyaku audit` compares it with the bucket."
        raise UserError(f"the ledger knows no file {printable(name)}", hint=hint)
    return found


def _with_details(connection: psycopg.Connection[Any], row: dict[str, Any]) -> dict[str, Any]:
    wrong = connection.execute(WRONG, row).fetchall() if row["rows_rejected"] else []
    group = connection.execute(GROUP, row).fetchone() if row["group_id"] is not None else None
    return {**row, "group": group, "rejected_rows": wrong}


def _print(file: dict[str, Any]) -> None:
    screen = output.console()
    screen.print(f"{output.cell(file['key'])}  version {output.cell(file['version_id'])}", style="bold")
    screen.print(output.pairs({name: value for name, value in _told(file).items() if value not in {None, ""}}))
    if file["rejected_rows"]:
        columns = ("line_number", "column_name", "error_code", "error")
        rows = [[row[name] for name in columns] for row in file["rejected_rows"]]
        screen.print(output.table(["line", "column", "error code", "error"], rows, title="put aside (the first 20)"))
    screen.print("")


def _letters(found: Any) -> str | None:
    if isinstance(found, dict):
        return f"unknown: {found['unknown']}"
    return f"{output.counted(len(found), 'message')}: hikyaku retry KEY sends it again" if found else None


def _told(file: dict[str, Any]) -> dict[str, Any]:
    group = file["group"]
    return {
        "status": file["status"] + (" (dry run)" if file["dry_run"] else ""),
        "error": f"{file['error_code']}: {file['error']}" if file["error_code"] else None,
        "means": advice.of(file["error_code"]).means if file["error_code"] else None,
        "do": advice.of(file["error_code"]).do if file["error_code"] else None,
        "dataset": file["dataset"],
        "went to": f"{file['target']} ({file['mode']})" if file["target"] else None,
        "rows": ", ".join(f"{file[f'rows_{name}']:,} {name.replace('_', ' ')}" for name in ROWS if file[f"rows_{name}"] is not None),
        "sender": f"{file['sender']}, number {file['seq']}" if file["seq"] is not None else file["sender"],
        "signed by": file["signer"] or "nobody",
        "opened by": file["recipient_identity"],
        "in S3": file["event_time"],
        "received": file["received_at"],
        "loaded": file["loaded_at"],
        "last changed": file["updated_at"],
        "attempts": file["attempts"],
        "bytes": file["size_bytes"],
        "sha256": file["sha256"],
        "group": f"{group['group']}: part {file['part']} of {group['parts']}, {group['status']}" if group else None,
        "group lacks": group["lacks"] if group else None,
        "dead-letter queue": _letters(file["dead_letters"]),
        "file id": file["file_id"],
        "loader": file["loader"],
    }
