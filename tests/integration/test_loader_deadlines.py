"""Nothing that the loader waits for may take for ever: a database that is dead, stopped or gone; a loader that is stopped itself."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integration.loader_fixture import Desk
from loader import migrate, tasks
from loader.app import build_app
from loader.copying import Copy
from loader.database import Database
from loader.loading import Loader
from loader.settings import LoaderSettings
from shared import failpoint, losses
from shared.contract import DecryptedParcel, SettledParcel, TaskName, Verdict
from shared.datasets_file import DatasetsFile

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

A = b"id,v\n1,a\n"


@pytest.fixture
def stock(desk: Desk) -> Iterator[Desk]:
    desk.table("stock (id int PRIMARY KEY, v text)")
    yield desk
    failpoint.arm({})


def key(name: str = "a") -> str:
    return f"incoming/stock/{name}.csv.gz.age"


def hasty(stock: Desk, url: str | None = None) -> Loader:
    """A loader with the shortest patience that it can be given."""
    database = Database(url or stock.database.url(), 60, 600, idle_timeout=1, connect_timeout=2)
    return Loader(database, DatasetsFile(stock.folder / "datasets.toml"), stock.folder / "spool", "hasty", look_every=0.5)


def backend(loader: Loader) -> int:
    return loader._database.connection().info.backend_pid


def test_a_peer_that_takes_connections_and_says_nothing(stock: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead:
        loader = hasty(stock, f"postgresql://hikyaku_loader@127.0.0.1:{dead.getsockname()[1]}/none")
        started = time.monotonic()
        settlement = loader.settle(stock.decrypted(stock.file(key()), A))
    assert (settlement.verdict, settlement.error_code) == (Verdict.RETRY, "database_unavailable")
    assert time.monotonic() - started < 15


def test_migrations_do_not_wait_for_it_either() -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead:
        started = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            migrate.migrate(f"postgresql://hikyaku_migrator@127.0.0.1:{dead.getsockname()[1]}/none")
    assert time.monotonic() - started < 15


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    with continued(pids):
        yield


@contextmanager
def continued(pids: list[int]) -> Iterator[None]:
    """However it ends."""
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[1])


def test_a_database_that_is_stopped_is_given_up_while_we_wait_for_it(stock: Desk) -> None:
    """Its kernel still answers for it, and its own timeouts are stopped with it."""
    loader = hasty(stock)
    item = stock.decrypted(stock.file(key()), A)
    session = backend(loader)
    with stopped([parent(session), session]):
        started = time.monotonic()
        settlement = loader.settle(item)
        took = time.monotonic() - started
    assert (settlement.verdict, settlement.error_code) == (Verdict.RETRY, "database_unavailable")
    assert took < 15
    assert loader.settle(stock.decrypted(item.file, A)).status == "loaded"


def test_a_database_that_is_stopped_in_mid_copy_is_given_up(stock: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    loader, original = hasty(stock), Copy.strict
    session = backend(loader)
    content = b"id,v\n" + b"".join(b"%d,%s\n" % (n, b"x" * 1000) for n in range(30_000))

    def stopping(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks):
            if number == 3:
                for pid in (parent(session), session):
                    os.kill(pid, signal.SIGSTOP)
            yield chunk

    monkeypatch.setattr(Copy, "strict", lambda copy, pieces: original(copy, stopping(pieces)))
    with continued([session, parent(session)]):
        started = time.monotonic()
        settlement = loader.settle(stock.decrypted(stock.file(key()), content))
        took = time.monotonic() - started
    assert (settlement.verdict, settlement.error_code) == (Verdict.RETRY, "database_unavailable")
    assert took < 20


def test_a_slow_statement_of_a_database_that_answers_is_waited_for(stock: Desk) -> None:
    stock.sql.execute("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN NEW; END'")
    stock.sql.execute("CREATE TRIGGER slow BEFORE INSERT ON stock FOR EACH ROW EXECUTE FUNCTION slow()")
    try:
        assert hasty(stock).settle(stock.decrypted(stock.file(key()), A)).status == "loaded"
    finally:
        stock.sql.execute("DROP FUNCTION slow CASCADE")


def test_a_loader_that_is_stopped_in_its_transaction_loses_its_locks(stock: Desk) -> None:
    failpoint.arm({"HIKYAKU_FAILPOINTS": "loader.merged=sleep:2"})
    item = stock.decrypted(stock.file(key()), A)
    settlement = hasty(stock).settle(item)
    assert (settlement.verdict, settlement.error_code) == (Verdict.RETRY, "timeout")
    assert stock.rows("SELECT count(*) FROM stock") == [(0,)]
    failpoint.arm({})
    assert stock.loader.settle(stock.decrypted(item.file, A)).status == "loaded"


def test_a_session_knows_all_its_bounds(stock: Desk) -> None:
    connection = Database(stock.database.url(), 7, 8, idle_timeout=9, connect_timeout=3, tcp_timeout=12).connection()
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "client_connection_check_interval")
    found = {name: connection.execute(f"SHOW {name}".encode()).fetchone() for name in names}
    assert found == dict(zip(names, [("7s",), ("8s",), ("9s",), ("10s",)], strict=True))
    said = connection.info.get_parameters()
    wanted = {
        "connect_timeout": "3",
        "tcp_user_timeout": "12000",
        "keepalives_idle": "6",
        "keepalives_interval": "2",
        "keepalives_count": "3",
    }
    assert {name: said[name] for name in wanted} == wanted


def test_what_the_url_says_counts_more(stock: Desk) -> None:
    database = Database(f"{stock.database.url()}?connect_timeout=4", 7, 8, connect_timeout=3)
    assert database.connection().info.get_parameters()["connect_timeout"] == "4"


# A parcel that took its process down with it


def load(stock: Desk, lost: int, *names: str) -> list[tuple[str, str, str | None]]:
    items = tuple(stock.decrypted(stock.file(key(name)), A.replace(b"a", name.encode())) for name in names)
    data = tasks.load(stock.loader, DecryptedParcel(parcel_id="p", items=items).dump(), lost=lost)
    assert stock.spool_is_empty()
    return [(s.verdict, s.status, s.error_code) for s in SettledParcel.read(data).settlements]


def test_a_file_that_crashed_three_times_is_rejected(stock: Desk) -> None:
    assert load(stock, losses.TRIES - 1, "a") == [("done", "loaded", None)]
    assert load(stock, losses.TRIES, "b") == [("rejected", "rejected", "crashed")]
    assert stock.rows("SELECT status, error_code FROM hikyaku.files WHERE error IS NOT NULL") == [("rejected", "crashed")]
    assert stock.rows("SELECT v FROM stock") == [("a",)]


def test_files_that_crashed_together_are_parted(stock: Desk) -> None:
    assert load(stock, 1, "a", "b") == [("retry", "failed", "crashed")] * 2
    assert stock.rows("SELECT count(*) FROM stock") == [(0,)]


def test_a_file_that_was_loaded_before_the_crash_stays_loaded(stock: Desk) -> None:
    item = stock.decrypted(stock.file(key()), A)
    parcel = DecryptedParcel(parcel_id="p", items=(item,)).dump()
    for lost in (0, losses.TRIES):
        [settlement] = SettledParcel.read(tasks.load(stock.loader, parcel, lost=lost)).settlements
        assert (settlement.verdict, settlement.status) == (Verdict.DONE, "loaded")


def test_the_worker_hands_a_task_the_number_of_its_losses(stock: Desk, tmp_path: Path) -> None:
    settings = LoaderSettings.model_validate(
        {
            "redis_url": "redis://127.0.0.1:1/0",
            "database_url": stock.database.url(),
            "spool_dir": stock.folder / "spool",
            "spool_on_disk": "allow",
            "datasets": tmp_path / "datasets.toml",
        }
    )
    task: Any = build_app(settings).tasks[TaskName.LOAD]
    assert task.max_retries == losses.MOST_RETRIES
    parcel = DecryptedParcel(parcel_id="p", items=(stock.decrypted(stock.file(key()), A),)).dump()
    task.push_request(retries=losses.TRIES)
    try:
        [settlement] = SettledParcel.read(task.run(parcel)).settlements
    finally:
        task.pop_request()
    assert settlement.error_code == "crashed"
