"""A desk at the loader: hand it a file as the decryptor would, and see what becomes of it.

PYTEST_DONT_REWRITE: test modules import this before they register it.
"""

import gzip
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from integration.postgres_fixture import Database
from loader import database as kept
from loader.loading import Loader
from shared import spool
from shared.contract import Declared, Decrypted, FileRef, Problem, Settlement
from shared.datasets_file import DatasetsFile

BUCKET = "inbox"
_versions = itertools.count(1)


@dataclass
class Desk:
    """One database, a spool and a datasets.toml."""

    database: Database
    folder: Path
    sql: psycopg.Connection[Any]
    loader: Loader = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / "spool").mkdir(parents=True)
        self.loader = self.another_loader()

    def another_loader(self, lock_timeout: int = 60) -> Loader:
        """With a connection of its own, like another process."""
        connection = kept.Database(self.database.url(), lock_timeout, 600)
        return Loader(connection, DatasetsFile(self.folder / "datasets.toml"), self.folder / "spool", "desk")

    def configure(self, text: str) -> None:
        (self.folder / "datasets.toml").write_text(text, encoding="utf-8")

    def table(self, definition: str) -> None:
        """`name (columns)`, created anew by the owner of the database."""
        self.sql.execute(f"DROP TABLE IF EXISTS {definition.split(' ', 1)[0]} CASCADE")
        self.sql.execute(f"CREATE TABLE {definition}")

    def file(self, key: str, **said: Any) -> FileRef:
        number = next(_versions)
        defaults = {
            "bucket": BUCKET,
            "key": key,
            "version_id": f"v{number}",
            "size": 1,
            "event_time": f"2026-05-01T00:00:00.{number:06d}Z",
            "received_at": "2026-05-01T00:00:01Z",
            "message_id": f"m{number}",
        }
        return FileRef(**(defaults | said))

    def spooled(self, file: FileRef) -> Path:
        return spool.published(self.folder / "spool", file.file_id)

    def decrypted(
        self,
        file: FileRef,
        content: bytes | None,
        *,
        packed: bool = False,
        signer: str | None = "acme",
        declared: Declared | None = None,
        problem: Problem | None = None,
    ) -> Decrypted:
        """What the decryptor leaves behind: the file in the spool, and a word about it."""
        if content is not None:
            self.spooled(file).write_bytes(content if packed else gzip.compress(content, 1))
        return Decrypted(file=file, sha256="ab" * 32, signer=signer, recipient_identity="2026", declared=declared, problem=problem)

    def send(self, key: str, content: bytes | str, *, packed: bool = False, **said: Any) -> Settlement:
        data = content.encode() if isinstance(content, str) else content
        return self.loader.settle(self.decrypted(self.file(key, **said), data, packed=packed))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.sql.execute(query).fetchall()

    def ledger(self, settlement: Settlement) -> dict[str, Any]:
        """The file's row."""
        with self.sql.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute("SELECT * FROM hikyaku.files WHERE file_id = %s", (settlement.file_id,)).fetchone()
        assert found is not None
        return found

    def spool_is_empty(self) -> bool:
        return not list((self.folder / "spool").iterdir())


def _clean_desk(database: Database, folder: Path) -> Iterator[Desk]:
    with database.connect("hikyaku_migrator") as migrator:
        migrator.execute("TRUNCATE hikyaku.files, hikyaku.groups, hikyaku.watermarks CASCADE")
    with database.connect() as connection:
        yield Desk(database, folder, connection)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Iterator[Desk]:
    yield from _clean_desk(database, tmp_path)


@pytest.fixture
def old_desk(old_database: Database, tmp_path: Path) -> Iterator[Desk]:
    yield from _clean_desk(old_database, tmp_path / "old")
