"""The bucket's keys beside the ledger's: a merge join of two sorted streams, of which one key each is in memory."""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import psycopg
from psycopg.rows import DictRow, class_row

from hikyaku.errors import UserError
from hikyaku.operator.inventory.bucket import Shelf, Version

ROWS = """
SELECT f.key, f.version_id, f.status, f.error_code, f.dataset, f.event_time, f.sequencer, f.updated_at
FROM hikyaku.files AS f
WHERE f.bucket = %(bucket)s AND starts_with(f.key, %(prefix)s)
ORDER BY f.key COLLATE "C"
"""
"""In S3's order: by the bytes of the key in UTF-8."""
ROWS_AT_ONCE = 2000

Left = TypeVar("Left")
Right = TypeVar("Right")
Side = TypeVar("Side")


@dataclass(frozen=True, slots=True)
class Row:
    """What the ledger says of one version."""

    key: str
    version_id: str
    status: str
    error_code: str | None
    dataset: str | None
    event_time: dt.datetime
    sequencer: str
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Pair:
    """One key in both truths."""

    key: str
    shelf: Shelf
    rows: tuple[Row, ...]

    def row(self, version: Version) -> Row | None:
        """The ledger's row of a version."""
        return next((row for row in self.rows if row.version_id in version.names), None)

    def rowless(self) -> list[Row]:
        """Rows of versions that the bucket does not have."""
        there = {name for version in self.shelf.versions for name in version.names}
        return [row for row in self.rows if row.version_id not in there]


def pairs(shelves: Iterable[Shelf], rows: Iterable[Row]) -> Iterator[Pair]:
    """Every key that is in the bucket, the ledger or both.

    Args:
        shelves: sorted by key.
        rows: sorted by key.

    Raises:
        UserError: one of them is not sorted by the bytes of the key.
    """
    lefts = ((shelf.key, shelf) for shelf in shelves)
    rights = ((key, tuple(of_key)) for key, of_key in groupby(rows, key=lambda row: row.key))
    for key, shelf, of_key in joined(lefts, rights):
        yield Pair(key, shelf or Shelf(key, ()), of_key or ())


def rows(connection: psycopg.Connection[DictRow], bucket: str, prefix: str) -> Iterator[Row]:
    """The ledger's rows below a prefix, by a cursor of the server: a batch is in memory."""
    with connection.cursor(name="hikyaku_operator_rows", row_factory=class_row(Row)) as cursor:
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(ROWS, {"bucket": bucket, "prefix": prefix})
        yield from cursor


def joined(left: Iterable[tuple[str, Left]], right: Iterable[tuple[str, Right]]) -> Iterator[tuple[str, Left | None, Right | None]]:
    """Full outer join of two streams of (key, value), each key once and in the order of its UTF-8 bytes.

    Raises:
        UserError: a stream is out of order: what would follow is wrong.
    """
    lefts, rights = _sorted(left, "S3 lists"), _sorted(right, "the ledger lists")
    one, two = next(lefts, None), next(rights, None)
    while one is not None or two is not None:
        if one is not None and (two is None or one[0].encode() < two[0].encode()):
            yield one[0], one[1], None
            one = next(lefts, None)
        elif two is not None and (one is None or two[0].encode() < one[0].encode()):
            yield two[0], None, two[1]
            two = next(rights, None)
        elif one is not None and two is not None:
            yield one[0], one[1], two[1]
            one, two = next(lefts, None), next(rights, None)


def _sorted(stream: Iterable[tuple[str, Side]], who: str) -> Iterator[tuple[str, Side]]:
    last: bytes | None = None
    for key, value in stream:
        rank = key.encode()
        if last is not None and rank <= last:
            raise UserError(
                f"{who} its keys out of order at {key!r}: nothing can be said for certain", hint="Is this S3, or something like it?"
            )
        last = rank
        yield key, value
