"""The migrations: repeatable, safe together, and the rights that they leave."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from integration.postgres_fixture import Database, Server, new_database
from loader import migrate

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")


def run(url: str | None, module: str = "loader.migrate") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HIKYAKU_")}
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


def test_a_run_that_was_killed_half_way_is_repeated(server: Server) -> None:
    database = new_database(server)
    with database.connect("hikyaku_migrator") as migrator:
        # Applied, not yet noted; and its lock row is still there.
        migrator.execute("DELETE FROM hikyaku._yoyo_migrations")
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
