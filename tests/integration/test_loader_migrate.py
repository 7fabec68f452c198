"""The migrations: repeatable, safe together, and the rights that they leave."""

import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Self

import psycopg
import pytest

from integration.loader_fixture import Desk
from integration.postgres_fixture import Database, Server, new_database
from loader import migrate
from loader.loading import Loader
from shared.contract import Settlement

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")


PATIENCE_S = 30
NEXT = """-- What the next version might bring.
-- depends: 0001-ledger
ALTER TABLE hikyaku.files ADD COLUMN IF NOT EXISTS priority integer NOT NULL DEFAULT 7;
CREATE INDEX IF NOT EXISTS files_by_priority ON hikyaku.files (priority, updated_at);
"""


def run(url: str | None, module: str = "loader.migrate", **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HIKYAKU_")} | settings
    if url is not None:
        environment["HIKYAKU_DATABASE_URL"] = url
    return subprocess.run([sys.executable, "-m", module], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def bare(server: Server) -> Database:
    return new_database(server, migrated=False)


def test_several_at_once_and_again(bare: Database) -> None:
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(run, [bare.url("hikyaku_migrator")] * 3))
    assert [done.returncode for done in runs] == [0, 0, 0], [done.stderr for done in runs]
    assert migrate.migrate(bare.url("hikyaku_migrator")) == []
    with bare.connect("postgres") as connection:
        found = connection.execute("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE '%yoyo%'").fetchall()
    assert found == [("hikyaku",)]


FORGET_LAST = "DELETE FROM hikyaku._yoyo_migrations WHERE migration_id = (SELECT max(migration_id) FROM hikyaku._yoyo_migrations)"
FORGET_BUT_FIRST = "DELETE FROM hikyaku._yoyo_migrations WHERE migration_id > '0002'"
NOTED = "SELECT count(*) FROM hikyaku._yoyo_migrations"


def test_a_run_that_was_killed_half_way_is_repeated(server: Server) -> None:
    database = new_database(server)
    with database.connect("hikyaku_migrator") as migrator:
        # Applied, not yet noted; and its lock row is still there.
        migrator.execute(FORGET_LAST)
        migrator.execute("INSERT INTO hikyaku.yoyo_lock VALUES (1, now(), 1)")
    assert migrate.migrate(database.url("hikyaku_migrator")) != []


def test_wrong_settings_are_named_and_exit_with_2() -> None:
    for url, problem in ((None, "HIKYAKU_DATABASE_URL: is not set"), ("no secret/url", "is not a PostgreSQL URL")):
        done = run(url)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert problem in done.stderr
        assert "no secret" not in done.stderr


def test_a_database_that_is_not_there_exits_with_1() -> None:
    done = run("postgresql://x:very-secret@127.0.0.1:1/x")
    assert (done.returncode, "Traceback" in done.stderr, "very-secret" in done.stderr) == (1, False, False)


def test_the_loaders_own_settings_are_all_named_at_once() -> None:
    done = run(None, "loader")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    for name in ("REDIS_URL", "DATABASE_URL", "SPOOL_DIR", "DATASETS"):
        assert f"HIKYAKU_{name}: is not set" in done.stderr


REFUSED = [
    ("hikyaku_loader", "DELETE FROM hikyaku.files"),
    ("hikyaku_loader", "TRUNCATE hikyaku.files"),
    ("hikyaku_loader", "DELETE FROM hikyaku.watermarks"),
    ("hikyaku_loader", "CREATE TABLE hikyaku.x (n int)"),
    ("hikyaku_loader", "CREATE TABLE public.x (n int)"),
    ("hikyaku_operator", "UPDATE hikyaku.files SET status = 'loaded'"),
    ("hikyaku_operator", "INSERT INTO hikyaku.watermarks VALUES ('a', 'b', 'c')"),
]


@pytest.mark.parametrize(("role", "statement"), REFUSED)
def test_what_a_role_may_not_do(database: Database, role: str, statement: str) -> None:
    with database.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_everything_in_the_ledger_has_a_comment(database: Database) -> None:
    query = """
        SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'hikyaku'::regnamespace AND c.relkind = 'r' AND c.relname NOT LIKE '%yoyo%'
        AND a.attnum > 0 AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)
    """
    with database.connect("hikyaku_migrator") as connection:
        assert connection.execute(query).fetchall() == []


# Forward, while the loader works


class Loaders:
    """Two loaders that load file after file, each over the one connection that it keeps, until they are told to stop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self.settlements: list[Settlement] = []
        self.sessions: list[list[int]] = []
        """Of each loader: the server's processes that it talked to."""
        self._threads = [threading.Thread(target=self._load, args=(loader,)) for loader in (desk.loader, desk.another_loader())]

    def _load(self, loader: Loader) -> None:
        sessions: list[int] = []
        self.sessions.append(sessions)
        while not self._stop.is_set():
            number = next(self._numbers)
            content = f"id,n\n{number},1\n".encode()
            file = self._desk.file(f"incoming/numbers/{number}.csv.gz.age")
            self.settlements.append(loader.settle(self._desk.decrypted(file, content)))
            sessions.append(loader._database.connection().info.backend_pid)

    def wait_for(self, more: int) -> int:
        """Until so many more files were loaded; returns how many there are then."""
        wanted, end = len(self.settlements) + more, time.monotonic() + PATIENCE_S
        while len(self.settlements) < wanted:
            assert time.monotonic() < end, f"{len(self.settlements)} files of {wanted}: the loaders stand still"
            self._stop.wait(0.01)
        return len(self.settlements)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)


@pytest.fixture
def busy_desk(server: Server, tmp_path: Path) -> Iterator[Desk]:
    database = new_database(server)
    with database.connect() as connection:
        desk = Desk(database, tmp_path / "desk", connection)
        desk.table("numbers (id int PRIMARY KEY, n int NOT NULL)")
        yield desk


@pytest.fixture
def next_version(tmp_path: Path) -> str:
    """The migrations of today and one more."""
    folder = tmp_path / "migrations"
    with resources.as_file(resources.files("loader").joinpath("sql", "migrations")) as today:
        shutil.copytree(today, folder)
    (folder / "0002-next.sql").write_text(NEXT, encoding="utf-8")
    return str(folder)


def test_the_schema_moves_forward_while_files_are_loaded(busy_desk: Desk, next_version: str) -> None:
    """A long load has the ledger in use: the migration steps aside for the short ones, and comes through when that one ends."""
    loaded_at_pauses: list[int] = []
    with busy_desk.database.connect("hikyaku_loader") as long_load, Loaders(busy_desk) as loaders:
        loaders.wait_for(5)
        long_load.execute("BEGIN")
        long_load.execute("LOCK TABLE hikyaku.files IN ROW EXCLUSIVE MODE")

        def pause(_seconds: float) -> None:
            loaded_at_pauses.append(loaders.wait_for(10))
            if len(loaded_at_pauses) == 2:
                long_load.execute("COMMIT")

        url = busy_desk.database.url("hikyaku_migrator")
        assert migrate.migrate(url, lock_timeout=1, wait=PATIENCE_S, source=next_version, pause=pause) == ["0002-next"]
        loaders.wait_for(10)
    assert len(loaded_at_pauses) >= 2
    assert {settlement.status for settlement in loaders.settlements} == {"loaded"}
    count = len(loaders.settlements)
    assert busy_desk.rows("SELECT count(*), count(DISTINCT id), sum(n) FROM numbers") == [(count, count, count)]
    with busy_desk.database.connect("hikyaku_operator") as operator:
        ledger = operator.execute("SELECT status, priority, count(*), max(attempts) FROM hikyaku.files GROUP BY 1, 2").fetchall()
        index = operator.execute("SELECT to_regclass('hikyaku.files_by_priority') IS NOT NULL").fetchone()
    assert (ledger, index) == ([("loaded", 7, count, 1)], (True,))
    assert [len(set(sessions)) for sessions in loaders.sessions] == [1, 1], "no loader had to begin anew"


def test_a_ledger_that_stays_in_use_ends_the_migration_with_a_sentence(server: Server) -> None:
    database = new_database(server)
    with database.connect("hikyaku_migrator") as other, database.connect("hikyaku_migrator") as migrator:
        migrator.execute(FORGET_BUT_FIRST)
        [(noted,)] = migrator.execute(NOTED).fetchall()
        other.execute("BEGIN")
        other.execute("LOCK TABLE hikyaku.files IN SHARE UPDATE EXCLUSIVE MODE")
        done = run(database.url("hikyaku_migrator"), HIKYAKU_MIGRATE_WAIT="0", HIKYAKU_MIGRATE_LOCK_TIMEOUT="1")
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert "the ledger was in use for 0 s" in done.stderr
        other.execute("ROLLBACK")
        assert migrator.execute(NOTED).fetchall() == [(noted,)]
    assert run(database.url("hikyaku_migrator")).returncode == 0


def test_another_migration_is_waited_for_within_a_bound(bare: Database) -> None:
    with bare.connect("hikyaku_migrator") as other:
        other.execute("SELECT pg_advisory_lock(%s)", (migrate.LOCK,))
        with pytest.raises(psycopg.errors.LockNotAvailable):
            migrate.migrate(bare.url("hikyaku_migrator"), lock_timeout=1, wait=0)
