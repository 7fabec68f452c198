"""`hikyaku forget`: the ledger lets go of a file, so that it can load again. The table's rows stay, and are named."""

import tomllib
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from hikyaku.errors import UserError
from hikyaku.operator import access, action, output
from hikyaku.operator.retry import Name, Version
from hikyaku.operator.settings import OperatorSettings
from hikyaku.operator.show import versions
from hikyaku.printable import printable

MEMBERS = """
SELECT * FROM hikyaku.files AS f
WHERE (f.bucket, f.key, f.version_id) = (%(bucket)s, %(key)s, %(version_id)s) OR f.group_id = %(group_id)s::bigint
ORDER BY f.part, f.key
"""
SAME_CONTENT = """
SELECT f.key, f.version_id FROM hikyaku.files AS f
WHERE
    f.dataset = %(dataset)s AND f.content_sha256 = %(content_sha256)s AND f.status = 'duplicate'
    AND (f.bucket, f.key, f.version_id) <> (%(bucket)s, %(key)s, %(version_id)s)
    AND (f.group_id IS NULL OR f.group_id IS DISTINCT FROM %(group_id)s::bigint)
ORDER BY f.event_time LIMIT 20
"""
NEWER = """
SELECT f.key, f.version_id FROM hikyaku.files AS f
WHERE
    f.bucket = %(bucket)s AND f.key = %(key)s AND f.version_id <> %(version_id)s AND f.status IN ('loaded', 'duplicate')
    AND f.event_time >= %(event_time)s
ORDER BY f.event_time LIMIT 20
"""
FORGET = "SELECT hikyaku.forget(%(bucket)s, %(key)s, %(version_id)s, %(action_id)s) AS gone"
STAYS = "The table's rows, the watermark and what was superseded meanwhile stay as they are."
APPENDED = "The dataset appends: unless you delete them first, its rows would be there twice."
WAITING = {"failed", "staged"}


def forget(
    name: Name,
    version: Version = None,
    *,
    reason: action.Reason = "",
    dry_run: action.DryRun = False,
    yes: action.Yes = False,
) -> None:
    """Let the ledger forget a file, so that it can load again. Its rows stay in the table, and are named here.

    A part of a group takes the whole group with it. The ledger's row is kept in hikyaku.forgotten. It does not undo: the table's rows,
    the watermark, files that were superseded or duplicate because of it. Refused while the file is under way.

    Example: hikyaku forget incoming/orders/2026-11.csv.gz.age --reason "loaded into the wrong table"
    """
    settings = OperatorSettings.read("database_url")
    with access.ledger(settings.database_url) as connection:
        file = versions(connection, name, version)[-1]
        _can_be_forgotten(file)
        members = connection.execute(MEMBERS, file).fetchall()
        for line in consequences(connection, file, members, settings.datasets):
            output.note(line)
    if not action.is_wanted(f"Forget {len(members)} files?" if len(members) > 1 else "Forget it?", yes=yes, dry_run=dry_run):
        return
    target = {name: file[name] for name in ("key", "version_id", "file_id", "status", "target", "rows_loaded", "group_id")}
    with action.written_down(settings.database_url, "forget", target, reason) as done:
        done.outcome = f"done: {_forget(settings.database_url, file, done.action_id)} files forgotten"
    output.note("Forgotten. To load it once more:")
    for each in members:
        output.note(f"  hikyaku retry {printable(each['key'])} --version {each['version_id']}")


def _can_be_forgotten(file: dict[str, Any]) -> None:
    key, status = printable(file["key"]), file["status"]
    if status in WAITING:
        raise UserError(f"{key} is {status}: it is under way", hint=f"hikyaku show {key}")
    if status == "rejected" and file["group_id"] is None:
        raise UserError(f"{key} is rejected: nothing need be forgotten", hint=f"Mend what was wrong, then: hikyaku retry {key}")


def _forget(url: str, file: dict[str, Any], action_id: int) -> int:
    with access.ledger(url) as connection:
        try:
            row = connection.execute(FORGET, {**file, "action_id": action_id}).fetchone()
        except psycopg.errors.LockNotAvailable:
            raise UserError("a loader works on it just now", hint="Try again when it is done: hikyaku show says when.") from None
        except psycopg.errors.RaiseException as error:
            raise UserError(f"it can't be forgotten: {error.diag.message_primary}") from None
    return int(row["gone"]) if row else 0


def consequences(connection: psycopg.Connection[Any], file: dict[str, Any], members: list[dict[str, Any]], datasets: str = "") -> list[str]:
    """What a person should know before, a sentence each.

    Args:
        connection: to the ledger.
        file: its row.
        members: of its group, or itself alone.
        datasets: path of datasets.toml, "" when unknown.
    """
    group = [f"It is a part of a group, of which all {len(members)} files are forgotten."] if len(members) > 1 else []
    told = [line for each in members if each["status"] == "loaded" for line in _rows(each, datasets)]
    same = connection.execute(SAME_CONTENT, file).fetchall()
    newer = connection.execute(NEWER, file).fetchall()
    return [
        f"{printable(file['key'])}, version {file['version_id']}, is {file['status']}.",
        *group,
        *told,
        *(f"Its content came again and stays a duplicate that was not loaded: {_named(each)}" for each in same),
        *(f"A newer version stands before it, so that it would be superseded; forget that one too: {_named(each)}" for each in newer),
        STAYS,
    ]


def _named(row: dict[str, Any]) -> str:
    return f"{printable(row['key'])}, version {row['version_id']}"


def _rows(file: dict[str, Any], datasets: str) -> list[str]:
    counts = ", ".join(f"{file[f'rows_{what}']:,} {what}" for what in ("inserted", "updated", "deleted") if file[f"rows_{what}"])
    # Of a group, the part that came last tells of all.
    if file["rows_loaded"] is None:
        return []
    told = f"Table {file['target']} keeps the {file['rows_loaded']:,} rows that it loaded ({counts or 'all were there before'})"
    if file["mode"] == "append":
        told = f"{APPENDED} {told}"
    column = lineage(datasets, file["dataset"])
    if not column:
        return [f"{told}; no column says which they are (file_column in datasets.toml)."]
    table = sql.Identifier(*str(file["target"]).split(".", 1))
    find = sql.SQL("SELECT * FROM {} WHERE {} = {}").format(table, sql.Identifier(column), sql.Literal(file["key"]))
    return [f"{told}: {printable(find.as_string(None))}"]


def lineage(datasets: str, dataset: str | None) -> str:
    """The dataset's column that holds the object's key; "" where there is none, or datasets.toml can't be read."""
    try:
        entries = tomllib.loads(Path(datasets).read_text(encoding="utf-8")) if datasets else {}
    except (OSError, ValueError):
        return ""
    for entry in (entries.get("datasets", {}).get(dataset or "", {}), entries.get("defaults", {})):
        if isinstance(entry, dict) and isinstance(entry.get("file_column"), str):
            return str(entry["file_column"])
    return ""
