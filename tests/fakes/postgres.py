"""The loader's PostgreSQL in memory: the ledger, the tables, transactions with savepoints, locks, lost connections.

It knows the loader's own statements (loader/sql/*.sql) by what they do, and refuses any other. What `statements` lacks, the fake
lacks: leave the superseded expression out of a statement and nothing is superseded. READ COMMITTED: each statement sees what was
committed before it, and its own transaction's changes. Held against PostgreSQL by suites/ledger.py.

Nobody waits: who would wait for a lock gets the error that comes when HIKYAKU_LOCK_TIMEOUT is over.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

import psycopg
from psycopg import errors

from fakes import ledger
from fakes.groups import KINDS, GroupStatements, Tables
from fakes.ledger import Pk, Row
from loader import statements

TableRow = tuple[str, ...]
SETTLED_GUARD = b"WHERE f.status IN ('rejected', 'failed')"


@dataclass(slots=True)
class Table:
    """A target: its columns, how many of them are the key, and its rows in the order of their arrival."""

    columns: tuple[str, ...]
    key: int
    rows: list[TableRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Change:
    """A ledger row that a commit changed."""

    before: Row | None
    after: Row


class FakePostgres:
    """One server.

    Attributes:
        files: the ledger, as committed.
        marks: the watermarks, as committed: value and file by dataset.
        tables: by qualified name, as committed.
        groups: and their parts, as committed.
        away: refuses connections, and ends those that it has at their next word.
        step: called before each step with its name, and after a commit with "committed": a place to fail.
        on_commit: called with the ledger rows that a commit changed.
    """

    def __init__(self) -> None:
        self.files: dict[Pk, Row] = {}
        self.marks: dict[str, tuple[str, str]] = {}
        self.tables: dict[str, Table] = {}
        self.groups = Tables()
        self.locks: dict[Hashable, FakeConnection] = {}
        self.away = False
        self.step: Callable[[str], None] = lambda _: None
        self.on_commit: Callable[[list[Change]], None] = lambda _: None
        self.clock = count(1)
        """Times of the ledger: no two are equal."""


Savepoint = tuple[dict[Pk, Row], dict[str, tuple[str, str]], Tables, int, int]


class FakeConnection(GroupStatements):
    """A session, with psycopg's surface as far as the loader uses it."""

    def __init__(self, server: FakePostgres) -> None:
        self.server = server
        self.closed = False
        self.staged: list[TableRow] = []
        self._depth = 0
        self._files: dict[Pk, Row] = {}
        self._marks: dict[str, tuple[str, str]] = {}
        self._groups = Tables()
        self._merges: list[tuple[str, Callable[[Table], None]]] = []
        self._locks: list[Hashable] = []

    def close(self) -> None:
        """End the session; what it did not commit is gone."""
        self.closed = True
        self._roll_back(_nothing())

    @contextmanager
    def transaction(self, *, force_rollback: bool = False) -> Iterator[None]:
        """A transaction, or a savepoint within one."""
        self.speak("begin")
        savepoint = (dict(self._files), dict(self._marks), Tables().over(self._groups), len(self._merges), len(self._locks))
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            self._roll_back(savepoint)
            raise
        self._depth -= 1
        if force_rollback:
            self._roll_back(savepoint)
        elif not self._depth:
            self._commit()

    def speak(self, what: str) -> None:
        """Say something to the server.

        Raises:
            psycopg.OperationalError: there is none (any more).
        """
        if self.closed:
            raise psycopg.OperationalError("the connection is closed")
        try:
            self.server.step(what)
        except psycopg.OperationalError:
            self.close()
            raise
        if self.server.away:
            self.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    def _commit(self) -> None:
        self.speak("commit")
        changes = [Change(self.server.files.get(pk), row) for pk, row in self._files.items()]
        self.server.files |= self._files
        self.server.marks |= self._marks
        self.server.groups = self.server.groups.over(self._groups)
        for name, merge in self._merges:
            merge(self.server.tables[name])
        self._roll_back(_nothing())
        if changes:
            self.server.on_commit(changes)
        self.speak("committed")

    def _roll_back(self, savepoint: Savepoint) -> None:
        self._files, self._marks, self._groups, merges, locks = savepoint
        del self._merges[merges:]
        for name in self._locks[locks:]:
            del self.server.locks[name]
        del self._locks[locks:]

    def lock(self, name: Hashable) -> None:
        """Take a lock until the end of the transaction.

        Raises:
            psycopg.errors.LockNotAvailable: somebody else has it.
        """
        holder = self.server.locks.setdefault(name, self)
        if holder is not self:
            raise errors.LockNotAvailable("canceling statement due to lock timeout")
        if name not in self._locks:
            self._locks.append(name)

    def merge(self, table: str, change: Callable[[Table], None]) -> None:
        """Change a table when the transaction commits."""
        self._merges.append((table, change))

    # The ledger

    def execute(self, statement: bytes | str, parameters: Any = None) -> "FakeConnection":
        """Run one of the loader's statements; the answer is fetched from here."""
        kind = _kind(statement)
        self.speak(kind)
        self._answer = getattr(self, f"_{kind}")(statement, parameters)
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """The answer's one row."""
        answer: tuple[Any, ...] | None = self._answer
        return answer

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The answer's rows."""
        answer: list[tuple[Any, ...]] = self._answer
        return answer

    def cursor(self, *, binary: bool = False) -> "FakeCursor":  # noqa: ARG002 - psycopg's
        """One for a statement."""
        return FakeCursor(self)

    def _setting(self, _statement: bytes, _parameters: Any) -> None:
        """A session's setting: without time it makes no difference."""

    def _visible(self) -> dict[Pk, Row]:
        return self.server.files | self._files

    def _claim(self, statement: bytes, p: dict[str, Any]) -> tuple[bool] | None:
        pk = ledger.pk_of(p)
        self.lock(pk)
        found = self._visible().get(pk)
        if found is None:
            self._files[pk] = ledger.claimed(p, next(self.server.clock))
        elif found["status"] in ledger.RETAKEN or SETTLED_GUARD not in statement:
            self._files[pk] = {**found, **ledger.retaken(found, p)}
        else:
            return None
        return (self._superseded(statement, p),)

    def _status(self, _statement: bytes, p: dict[str, Any]) -> tuple[str] | None:
        found = self._visible().get(ledger.pk_of(p))
        return found and (found["status"],)

    def _receipt(self, _statement: bytes, p: dict[str, Any]) -> tuple[Any, ...] | None:
        found = self._visible().get(ledger.pk_of(p))
        return found and ledger.receipt(found)

    def _standing(self, statement: bytes, p: dict[str, Any]) -> tuple[bool, bool, bool]:
        rows = self._visible().values()
        return self._superseded(statement, p), ledger.duplicate(rows, p), ledger.repeated(rows, p)

    def _superseded(self, statement: bytes, p: dict[str, Any]) -> bool:
        return statements._SUPERSEDED in statement and ledger.superseded(self._visible().values(), p)

    def _finish(self, _statement: bytes, p: dict[str, Any]) -> None:
        pk = ledger.pk_of(p)
        self._files[pk] = ledger.finished(self._visible()[pk], p, next(self.server.clock))
        if p["status"] == "loaded":
            self._mark(p)

    def _mark(self, p: dict[str, Any]) -> None:
        self.lock(("watermark", p["dataset"]))
        mark = (self.server.marks | self._marks).get(p["dataset"])
        if mark is None or mark[0] < p["watermark"]:
            self._marks[p["dataset"]] = (p["watermark"], p["key"])


@dataclass(frozen=True, slots=True)
class FakeCursor:
    """Of a session that does one thing at a time."""

    connection: FakeConnection

    def execute(self, statement: str, parameters: Any = None) -> FakeConnection:
        """As the session does."""
        return self.connection.execute(statement, parameters)

    def close(self) -> None:
        """Nothing is open."""


class FakeDatabase:
    """Stands in for `loader.database.Database`."""

    def __init__(self, server: FakePostgres) -> None:
        self._server = server
        self._connection: FakeConnection | None = None

    def connection(self) -> FakeConnection:
        """The kept connection, or a new one."""
        if self._connection is None or self._connection.closed:
            if self._server.away:
                raise psycopg.OperationalError("connection refused")
            self._connection = FakeConnection(self._server)
        return self._connection

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def another(self) -> FakeConnection:
        """One more."""
        return FakeConnection(self._server)

    def is_silent(self) -> bool:
        """It always says something."""
        return False


def _nothing() -> Savepoint:
    return {}, {}, Tables(), 0, 0


@cache
def _kind(statement: bytes | str) -> str:
    if statement in KINDS:
        return KINDS[statement]
    text = statement if isinstance(statement, bytes) else statement.encode()
    marks: Sequence[tuple[bytes, str]] = (
        (b"INSERT INTO hikyaku.files", "claim"),
        (b"UPDATE hikyaku.files", "finish"),
        (b"AS duplicate", "standing"),
        (b"AS committed_at", "receipt"),
        (b"SELECT f.status", "status"),
        (b"set_config", "setting"),
    )
    return next(kind for mark, kind in marks if mark in text)
