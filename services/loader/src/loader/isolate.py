"""Which rows of a staged file a table's constraints refuse: they are put aside one by one, the rest is merged.

Only for a file whose merge as a whole was refused. Missing values and broken checks are found by one query for each constraint; for
whatever else a table may refuse (foreign keys, unique indexes, exclusions, triggers) the file is merged in parts, and a part that is
refused is cut in smaller ones, until the row is found.
"""

from contextlib import suppress

from psycopg import sql

from loader import places, sqlstate
from loader.records import WrongRecord, check_number
from loader.staging_table import LINE
from loader.upsert import Merge, Merged, Span
from shared.datasets import Mode
from shared.errors import ErrorCode, Rejected

CHECKS = """
SELECT conname, pg_get_expr(conbin, conrelid) FROM pg_constraint AS c
WHERE conrelid = {}::oid AND contype = 'c' AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)
ORDER BY conname
"""
"""From PostgreSQL 18 on, a constraint may be one that is not enforced."""
PARTS = 16
"""In so many a part is cut that is refused: each level is one more insert of all that is refused in it."""
CREATE_INDEX = "CREATE INDEX hikyaku_lines ON {} ({})"
"""Else each part costs a look at every row (measured: 100,000 rows of which 0.1 % were refused took 11 s, with the index 5)."""
DROP_INDEX = "DROP INDEX pg_temp.hikyaku_lines"
SPANS = "SELECT min({0}), max({0}) FROM {1} GROUP BY {0} >> {2} ORDER BY 1"


class EnoughError(Exception):
    """More rows are wrong than anybody wants to know."""

    def __init__(self, wrong: list[WrongRecord]) -> None:
        super().__init__()
        self.wrong = wrong


def merge_less_wrong(merge: Merge, most: int) -> tuple[Merged, list[WrongRecord]]:
    """Merge all rows that the table takes. The staging table must have line numbers.

    Args:
        merge: of the file.
        most: wrong rows after which to give up.

    Returns:
        What happened to the table, and the rows that it does not take.

    Raises:
        EnoughError: more are wrong.
        Rejected: it is not single rows that are.
        Retryable: the database fails.
    """
    merge.check_mark()
    wrong = [*_without_value(merge), *_against_checks(merge)]
    if len(wrong) > most:
        raise EnoughError(wrong)
    aside = len(wrong)
    merge.look_for_repeated()
    aside += merge.drop_repeated()
    deleted = merge.delete()
    parts = _Parts(merge, wrong, most)
    parts.merge_all()
    rows = merge.staged.rows - aside
    unchanged = merge.meant(rows) - parts.refused - parts.inserted - parts.updated if merge.dataset.mode is Mode.UPSERT else 0
    return Merged(parts.inserted, parts.updated, deleted, max(unchanged, 0)), wrong


def _without_value(merge: Merge) -> list[WrongRecord]:
    names = [column.name for column in merge.staged.layout.columns if column.not_null or column.name in merge.staged.key]
    if not names:
        return []
    lacks = [_lacks(merge, name) for name in names]
    first = sql.SQL(" ").join(sql.SQL("WHEN {} THEN {}").format(lack, name) for lack, name in zip(lacks, names, strict=True))
    named = sql.SQL("CASE {} END").format(first)
    return _put_aside(merge, sql.SQL(" OR ").join(lacks), named, "has no value where the table requires one")


def _lacks(merge: Merge, name: str) -> sql.Composable:
    lacks = sql.SQL("{} IS NULL").format(sql.Identifier(name))
    return lacks if name in merge.staged.key else merge.of_rows(lacks)


def _against_checks(merge: Merge) -> list[WrongRecord]:
    wrong = []
    for name, expression in merge.rows(sql.SQL(CHECKS).format(merge.relation.oid)):
        condition = merge.of_rows(sql.SQL("NOT ({})").format(sql.SQL(expression)))
        # It may be about a column that the file lacks, or fail for a row: then the parts will tell.
        with suppress(Rejected), merge.connection.transaction():
            wrong += _put_aside(merge, condition, sql.SQL("NULL::text"), f"breaks a check of the table (constraint {name})")
    return wrong


def _put_aside(merge: Merge, condition: sql.Composable, column: sql.Composable, error: str) -> list[WrongRecord]:
    """Take the rows out of the staging table that a condition is true of; an expression names the column."""
    statement = sql.SQL("DELETE FROM {} AS s WHERE {} RETURNING {}, {}").format(merge.staged.table, condition, sql.Identifier(LINE), column)
    found = [WrongRecord(line, name, ErrorCode.CONSTRAINT_VIOLATED, error) for line, name in merge.rows(statement)]
    check_number(found)
    return found


class _Parts:
    """Merges by parts."""

    def __init__(self, merge: Merge, wrong: list[WrongRecord], most: int) -> None:
        self._merge = merge
        self._wrong = wrong
        self._most = most
        self.refused = 0
        self._upserts = merge.dataset.mode is Mode.UPSERT
        self.inserted = 0
        self.updated = 0

    def merge_all(self) -> None:
        """Merge all records, less those that are refused: at once, where none is."""
        if (refusal := self._insert(None)) is None:
            return
        self._merge.run(sql.SQL(CREATE_INDEX).format(sql.Identifier("pg_temp", self._merge.staged.stored), sql.Identifier(LINE)))
        # A file's, or one for each part of a group: between these there are no records.
        spans = self._merge.rows(sql.SQL(SPANS).format(sql.Identifier(LINE), self._merge.staged.table, places.LINE_BITS))
        if len(spans) == 1:
            # What was refused was this very one.
            self._part(spans[0], refusal)
        else:
            for span in spans:
                self.merge(span)
        # The session may keep the table.
        self._merge.run(sql.SQL(DROP_INDEX))

    def merge(self, span: Span) -> None:
        """Merge the records that begin in these lines, less those that are refused."""
        if (refusal := self._insert(span)) is not None:
            self._part(span, refusal)

    def _insert(self, span: Span | None) -> Rejected | None:
        try:
            with self._merge.connection.transaction():
                written = self._merge.insert(span=span)
        except Rejected as rejection:
            if rejection.error_code not in sqlstate.OF_A_ROW:
                raise
            if self._upserts:
                # So that what was rolled back is not counted next time.
                self._merge.inserted()
            return rejection
        inserted = self._merge.inserted() if self._upserts else written
        self.inserted += inserted
        self.updated += written - inserted
        return None

    def _part(self, span: Span, rejection: Rejected) -> None:
        first, last = span
        if first < last:
            step = (last - first) // PARTS + 1
            for begin in range(first, last + 1, step):
                self.merge((begin, min(begin + step - 1, last)))
            return
        self.refused += 1
        self._wrong.append(WrongRecord(first, None, ErrorCode(rejection.error_code), rejection.message.removeprefix("the file ")))
        if len(self._wrong) > self._most:
            raise EnoughError(self._wrong)
        check_number(self._wrong)
