"""What the loader's statements (loader/sql/*.sql) make of the ledger's rows, given their parameters `p`."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import errors

Pk = tuple[str, str, str]
Row = Mapping[str, Any]
COUNTED = frozenset({"loaded", "duplicate"})
BEGIN = datetime(2026, 11, 12, tzinfo=UTC)
"""Of its clock."""
RETAKEN = frozenset({"rejected", "failed"})


def pk_of(p: Mapping[str, Any]) -> Pk:
    """Whose row it is."""
    return p["bucket"], p["key"], p["version_id"]


def claimed(p: Mapping[str, Any], now: int) -> Row:
    """sql/claim.sql: a new row."""
    told = ("bucket", "key", "version_id", "file_id", "dataset", "dry_run", "etag", "sequencer", "event_time", "sha256", "signer")
    told += ("sender", "seq", "order_by", "order_value", "declared_rows", "size", "received_at")
    unknown = dict.fromkeys(("error", "target", "mode", "content_sha256", "rows_in_file", "rows_loaded", "rows_changed", "loaded_at"))
    unknown |= dict.fromkeys(("group_id", "part"))
    return {name: p[name] for name in told} | unknown | {"status": "failed", "error_code": "crashed", "attempts": 1, "updated_at": now}


def retaken(found: Row, p: Mapping[str, Any]) -> Row:
    """sql/claim.sql: what changes in a row that is taken up again."""
    kept = {name: p[name] if p[name] is not None else found[name] for name in ("sha256", "signer", "sender", "seq", "declared_rows")}
    return kept | {name: p[name] for name in ("dataset", "order_by", "order_value", "received_at")} | {"attempts": found["attempts"] + 1}


def finished(row: Row, p: Row, now: int) -> Row:
    """sql/finish.sql: a file's end."""
    if (p["status"] in RETAKEN) != (p["error_code"] is not None):
        raise errors.CheckViolation("files_error")
    said = {name: p[name] for name in ("status", "error_code", "error", "target", "mode", "content_sha256")}
    counts = ("inserted", "updated", "unchanged", "deleted", "rejected")
    numbers = {name: p[name] for name in ("rows_in_file", "rows_loaded", "rows_changed", "bad_lines", *(f"rows_{each}" for each in counts))}
    return {**row, **said, **numbers, "loaded_at": now if p["status"] == "loaded" else None, "updated_at": now}


def receipt(row: Row) -> tuple[Any, ...]:
    """sql/receipt.sql: what its sender is told."""
    names = ("bucket", "key", "version_id", "sha256", "size", "dataset", "status", "error_code", "error", "rows_in_file", "rows_inserted")
    names += ("rows_updated", "rows_unchanged", "rows_deleted", "rows_rejected", "bad_lines", "file_id", "sequencer")
    committed = BEGIN + timedelta(seconds=row["loaded_at"] or row["updated_at"])
    return (*(row[name] for name in names), *map(_utc, (_time(row), datetime.fromisoformat(row["received_at"]), committed)))


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def superseded(rows: Iterable[Row], p: Row) -> bool:
    """sql/superseded.sql: something newer was there first."""
    counted = [row for row in rows if row["status"] in COUNTED]
    if any(_same_key(row, p) and row["version_id"] != p["version_id"] and _newer(row, p) for row in counted):
        return True
    others = [row for row in counted if row["dataset"] == p["dataset"] and not _same_key(row, p)]
    return p["whole_table"] and any(_later(row, p) if (said := _ordered(row, p)) is None else said for row in others)


def duplicate(rows: Iterable[Row], p: Row) -> bool:
    """sql/standing.sql: its content is there already."""
    there = [row for row in rows if row["target"] == p["target"]]
    loaded = [row for row in there if row["dataset"] == p["dataset"] and row["status"] == "loaded"]
    if p["whole_table"]:
        last = max(loaded, key=lambda row: row["loaded_at"], default=None)
        return last is not None and last["content_sha256"] == p["content_sha256"] and (p["skip"] or _same_key(last, p))
    before = [row for row in there if _same_key(row, p) and row["version_id"] != p["version_id"] and row["status"] in COUNTED]
    if before:
        latest = max(before, key=lambda row: row["updated_at"])
        return bool(latest["content_sha256"] == p["content_sha256"])
    return p["skip"] and any(row["content_sha256"] == p["content_sha256"] for row in loaded)


def repeated(rows: Iterable[Row], p: Row) -> bool:
    """sql/standing.sql: its sender's number has other content already."""
    return p["seq_is_unique"] and any(
        all(row[name] == p[name] for name in ("bucket", "sender", "seq"))
        and row["key"].split("/")[1] == p["key"].split("/")[1]
        and (row["signer"] is None) == (p["signer"] is None)
        and row["status"] in COUNTED
        and row["content_sha256"] != p["content_sha256"]
        for row in rows
    )


def _same_key(row: Row, p: Mapping[str, Any]) -> bool:
    return bool((row["bucket"], row["key"]) == (p["bucket"], p["key"]))


def _time(row: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(row["event_time"])


def _later(row: Row, p: Row) -> bool:
    return _time(row) > _time(p)


def _ordered(row: Row, p: Row) -> bool | None:
    """Whether a row is the newer one by what both are ordered by; None where that says nothing."""
    if p["order_by"] is None or row["order_by"] != p["order_by"] or row["order_value"] == p["order_value"]:
        return None
    return bool(row["order_value"].encode() > p["order_value"].encode())


def _newer(row: Row, p: Mapping[str, Any]) -> bool:
    if (said := _ordered(row, p)) is not None:
        return said
    one, other = row["sequencer"], p["sequencer"]
    width = max(len(one), len(other))
    if not one or not other or one.ljust(width, "0") == other.ljust(width, "0"):
        return _later(row, p)
    return bool(one.ljust(width, "0") > other.ljust(width, "0"))
