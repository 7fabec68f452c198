"""The parts of a group wait in PostgreSQL, as pieces of their gzip: the spool may forget them at any moment.

They are read over a second connection: the first one is busy with COPY meanwhile. It sees what is committed, and nobody changes that
while the group's row is locked.
"""

import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import psycopg

from loader import sqlstate
from loader.source import Source, opened, unreadable

CHUNK = 1024**2
COPY = "COPY hikyaku.part_chunks (group_id, part, number, data) FROM STDIN (FORMAT BINARY)"
PIECE = "SELECT c.data FROM hikyaku.part_chunks AS c WHERE c.group_id = %s AND c.part = %s AND c.number = %s"

Connection = psycopg.Connection[Any]


def keep(connection: Connection, group_id: int, part: int, path: Path) -> None:
    """Write a spooled part to the database.

    Raises:
        Retryable: the spool fails.
        psycopg.Error: the database fails.
    """
    try:
        with opened(path) as spooled, connection.cursor() as cursor, cursor.copy(COPY) as copy:
            copy.set_types(["int8", "int4", "int4", "bytea"])
            number = 0
            while data := spooled.read(CHUNK):
                copy.write_row((group_id, part, number, data))
                number += 1
    except OSError as error:
        raise unreadable(error) from None


class Shelf:
    """The parts that wait.

    Args:
        connect: makes the second connection; called when a part is read for the first time.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def piece(self, group_id: int, part: int, number: int) -> bytes:
        """A piece of a part; nothing behind the last one.

        Raises:
            Retryable: the database fails.
        """
        try:
            if self._connection is None:
                self._connection = self._connect()
            with closing(self._connection.cursor(binary=True)) as cursor:
                found = cursor.execute(PIECE, (group_id, part, number)).fetchone()
        except psycopg.Error as error:
            raise sqlstate.outage(error) from None
        return found[0] if found else b""


class Waiting(Source):
    """The CSV of a part that waits.

    Args:
        shelf: where.
        group_id: of the group.
        part: which.
        size: bytes of its gzip.
        max_bytes: of CSV.
        max_ratio: bytes of CSV per byte of gzip.
    """

    def __init__(self, shelf: Shelf, group_id: int, part: int, *, size: int, max_bytes: int, max_ratio: int) -> None:
        super().__init__(Path(), max_bytes, max_ratio)
        self._shelf = shelf
        self._group_id = group_id
        self._part = part
        self._bytes = size

    def _open(self) -> tuple[BinaryIO, int]:
        pieces = _Pieces(lambda number: self._shelf.piece(self._group_id, self._part, number))
        return io.BufferedReader(pieces, CHUNK), self._bytes


class _Pieces(io.RawIOBase):
    """Pieces as a file."""

    def __init__(self, piece: Callable[[int], bytes]) -> None:
        super().__init__()
        self._piece = piece
        self._number = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(self._piece(self._number))
            self._number += 1
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
