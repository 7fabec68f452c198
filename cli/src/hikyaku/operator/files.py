"""`hikyaku files` and `hikyaku errors`: what the ledger says."""

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any

import psycopg
import typer

from hikyaku.operator import access, advice, output, period
from hikyaku.operator.settings import OperatorSettings

SELECT = """
SELECT event_time, status, dataset, key, rows_in_file, rows_inserted, rows_updated, rows_deleted, rows_rejected,
    seconds, attempts, error_code, error, sender, version_id, file_id
FROM hikyaku.file_history
WHERE (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
    AND (%(statuses)s::text[] IS NULL OR status = ANY (%(statuses)s))
    AND (%(since)s::timestamptz IS NULL OR updated_at >= %(since)s)
    AND (%(pattern)s::text IS NULL OR key LIKE %(pattern)s)
ORDER BY event_time DESC, key
LIMIT %(most)s
"""
IN_TROUBLE = ("rejected", "failed")
COLUMNS = ("event_time", "status", "dataset", "key", "rows_in_file", "rows_inserted", "rows_updated", "rows_rejected", "error_code")
MOST_KEYS = 3
Json = Annotated[bool, typer.Option("--json", help="One JSON document a line.")]
Since = Annotated[str | None, typer.Option("--since", help="Only what changed within this time: 30m, 2h, 7d.", metavar="SPAN")]
Most = Annotated[int, typer.Option("--limit", "-n", help="At most so many.", min=1, max=100_000)]


def files(
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Of this dataset only.")] = None,
    status: Annotated[list[str] | None, typer.Option("--status", "-s", help="With this status; may be repeated.")] = None,
    *,
    key: Annotated[str | None, typer.Option("--key", "-k", help="Whose key matches: 'incoming/orders/2026-*'.", metavar="GLOB")] = None,
    since: Since = None,
    limit: Most = 20,
    as_json: Json = False,
) -> None:
    """List files and what became of them, newest first.

    Example: hikyaku files --dataset orders --since 2d
    """
    with access.ledger(OperatorSettings.read("database_url").database_url) as connection:
        found = select(connection, dataset=dataset, statuses=status, pattern=_like(key), since=since, most=limit)
    _print(found, as_json=as_json, nothing="No such file.")


def errors(
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Of this dataset only.")] = None,
    *,
    since: Since = None,
    limit: Most = 1000,
    as_json: Json = False,
) -> None:
    """Show what needs a person: rejected and failed files by error code, with what to do.

    Example: hikyaku errors --since 24h
    """
    with access.ledger(OperatorSettings.read("database_url").database_url) as connection:
        found = select(connection, dataset=dataset, statuses=IN_TROUBLE, since=since, most=limit)
    if as_json:
        _print(found, as_json=True, nothing="")
        return
    screen = output.console()
    for code in sorted({row["error_code"] for row in found}):
        _print_code(screen.print, code, [row for row in found if row["error_code"] == code])
    screen.print(f"{output.counted(len(found), 'file')} to look at." if found else "Nothing needs a person.")


def select(
    connection: psycopg.Connection[Any],
    *,
    dataset: str | None = None,
    statuses: Sequence[str] | None = None,
    pattern: str | None = None,
    since: str | None = None,
    most: int = 20,
) -> list[dict[str, Any]]:
    """Rows of `hikyaku.file_history`, newest first.

    Args:
        connection: to the ledger.
        dataset: None for all.
        statuses: None for all.
        pattern: of LIKE, on the key.
        since: span of time within which the row changed.
        most: rows.

    Raises:
        UserError: `since` is no span.
    """
    after = dt.datetime.now(dt.UTC) - period.parse(since) if since else None
    wanted = {"dataset": dataset, "statuses": list(statuses) if statuses else None, "pattern": pattern, "since": after, "most": most}
    return connection.execute(SELECT, wanted).fetchall()


def _like(glob: str | None) -> str | None:
    if glob is None:
        return None
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def _print(found: list[dict[str, Any]], *, as_json: bool, nothing: str) -> None:
    if as_json:
        for row in found:
            output.json_line(row)
    elif found:
        output.console().print(
            output.table([name.replace("_", " ") for name in COLUMNS], [[row[name] for name in COLUMNS] for row in found])
        )
    else:
        output.note(nothing)


def _print_code(show: Any, code: str, found: list[dict[str, Any]]) -> None:
    told = advice.of(code)
    show(f"{code}: {len(found)} × {told.means}\n  → {told.do}")
    for row in found[:MOST_KEYS]:
        show(
            f"  {output.cell(row['event_time'])}  {output.cell(row['status'])}  {output.cell(row['key'])}\n    {output.cell(row['error'])}"
        )
    if len(found) > MOST_KEYS:
        show(f"  … and {len(found) - MOST_KEYS} more: hikyaku files --status {found[0]['status']}")
