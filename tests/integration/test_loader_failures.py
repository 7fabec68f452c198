"""Failures that pass: the message stays, nothing half done is left, and the next attempt loads."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from integration.loader_fixture import Desk
from loader import ledger, source
from loader.copying import Copy
from loader.database import Database
from loader.loading import Loader
from shared.contract import Problem, Verdict
from shared.datasets_file import DatasetsFile
from shared.errors import ErrorCode

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

KEY = "incoming/stock/{}.csv.gz.age"
A = b"id,v\n1,a\n"


@pytest.fixture
def stock(desk: Desk) -> Desk:
    desk.table("stock (id int PRIMARY KEY, v text)")
    return desk


def backend(loader: Loader) -> int:
    return loader._database.connection().info.backend_pid


def test_a_transient_problem_of_the_decryptor_then_success(stock: Desk) -> None:
    file = stock.file(KEY.format("a"))
    problem = Problem(error_code=ErrorCode.STORAGE_UNAVAILABLE, message="S3 answers 503", retry=True)
    settlement = stock.loader.settle(stock.decrypted(file, None, problem=problem))
    assert (settlement.verdict, settlement.status, settlement.error_code) == (Verdict.RETRY, "failed", "storage_unavailable")
    assert stock.ledger(settlement)["error"] == "S3 answers 503"
    assert stock.loader.settle(stock.decrypted(file, A)).status == "loaded"
    row = stock.ledger(settlement)
    assert (row["attempts"], row["error_code"], row["error"]) == (2, None, None)


def test_a_file_that_left_the_spool_is_tried_again(stock: Desk) -> None:
    settlement = stock.loader.settle(stock.decrypted(stock.file(KEY.format("a")), None))
    assert (settlement.verdict, settlement.error_code) == (Verdict.RETRY, "spool_unavailable")
    assert stock.ledger(settlement)["status"] == "failed"


def test_a_late_copy_of_a_rejected_files_task_does_not_undo_the_rejection(stock: Desk) -> None:
    """Its spool file went with the first copy; nobody holds its message any more, so nobody would try again."""
    file = stock.file(KEY.format("a"))
    rejected = stock.loader.settle(stock.decrypted(file, b"nonsense\n1\n"))
    assert rejected.status == "rejected"
    late = stock.loader.settle(stock.decrypted(file, None))
    assert (late.verdict, late.error_code) == (Verdict.RETRY, "spool_unavailable")
    row = stock.ledger(rejected)
    assert (row["status"], row["error_code"]) == ("rejected", rejected.error_code)


def test_a_spool_that_cannot_be_read_is_tried_again(stock: Desk) -> None:
    file = stock.file(KEY.format("a"))
    stock.spooled(file).symlink_to(stock.folder / "spool")
    settlement = stock.loader.settle(stock.decrypted(file, None))
    assert (settlement.verdict, settlement.error_code) == (Verdict.RETRY, "spool_unavailable")


def test_a_connection_killed_while_idle_costs_no_attempt(stock: Desk) -> None:
    first = backend(stock.loader)
    with stock.database.server.connect() as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 10000)", (first,))
    settlement = stock.send(KEY.format("a"), A)
    assert settlement.status == "loaded"
    assert stock.ledger(settlement)["attempts"] == 1
    assert backend(stock.loader) != first


def test_a_connection_killed_in_mid_copy_leaves_nothing_and_the_next_attempt_loads(stock: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, file = backend(stock.loader), stock.file(KEY.format("a"))
    content = b"id,v\n" + b"".join(b"%d,%s\n" % (n, b"x" * 50) for n in range(50_000))
    with stock.database.server.connect() as admin, monkeypatch.context() as patched:

        def killing(chunks: Any) -> Any:
            for number, chunk in enumerate(chunks):
                yield chunk
                if number == 3:
                    admin.execute("SELECT pg_terminate_backend(%s, 10000)", (victim,))

        original = Copy.strict
        patched.setattr(Copy, "strict", lambda copy, pieces: original(copy, killing(pieces)))
        settlement = stock.loader.settle(stock.decrypted(file, content))
    assert (settlement.verdict, settlement.error_code) == (Verdict.RETRY, "database_unavailable")
    assert stock.rows("SELECT count(*) FROM stock") == [(0,)]
    assert stock.ledger(settlement)["status"] == "failed"
    assert stock.loader.settle(stock.decrypted(file, content)).status == "loaded"
    assert stock.rows("SELECT count(*) FROM stock") == [(50_000,)]


def test_a_database_that_is_not_there_is_no_ones_fault(stock: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = Database("postgresql://hikyaku_loader:very-secret@127.0.0.1:1/none", 1, 1)
    loader = Loader(nowhere, DatasetsFile(tmp_path / "none.toml"), stock.folder / "spool", "x")
    settlement = loader.settle(stock.decrypted(stock.file(KEY.format("a")), A))
    assert (settlement.verdict, settlement.error_code) == (Verdict.RETRY, "database_unavailable")
    assert "very-secret" not in str(settlement)
    assert "very-secret" not in caplog.text


def test_a_table_that_stays_locked_is_a_timeout(stock: Desk) -> None:
    loader = stock.another_loader(lock_timeout=1)
    item = stock.decrypted(stock.file(KEY.format("a")), A)
    with stock.sql.transaction():
        stock.sql.execute("LOCK TABLE stock")
        settlement = loader.settle(item)
    assert (settlement.verdict, settlement.error_code) == (Verdict.RETRY, "timeout")
    assert loader.settle(stock.decrypted(item.file, A)).status == "loaded"


def test_a_deadlock_with_an_application_is_tried_again(stock: Desk) -> None:
    stock.sql.execute("INSERT INTO stock VALUES (1, 'old'), (2, 'old')")
    item = stock.decrypted(stock.file(KEY.format("a")), b"id,v\n1,new\n2,new\n")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    with ThreadPoolExecutor(1) as pool, stock.database.connect("postgres") as application, application.transaction():
        # The application looks for deadlocks late, so that the loader is the one that gives way.
        application.execute("SET LOCAL deadlock_timeout = '1min'")
        application.execute("UPDATE stock SET v = 'application' WHERE id = 2")
        loading = pool.submit(stock.loader.settle, item)
        while stock.rows(waiting) == [(0,)]:
            pass
        application.execute("UPDATE stock SET v = 'application' WHERE id = 1")
        settlement = loading.result()
    assert (settlement.verdict, settlement.error_code) == (Verdict.RETRY, "database_unavailable")
    assert stock.rows("SELECT DISTINCT v FROM stock") == [("application",)]


def test_a_schema_that_was_never_migrated_is_no_ones_fault(stock: Desk) -> None:
    name = f"bare_{stock.database.name}"
    with stock.database.server.connect() as admin:
        admin.execute(f"CREATE DATABASE {name}")
    bare = type(stock.database)(stock.database.server, name)
    desk = Desk(bare, stock.folder / "bare", stock.sql)
    settlement = desk.send(KEY.format("a"), A)
    assert (settlement.verdict, settlement.error_code) == (Verdict.RETRY, "database_unavailable")
    assert "loader.migrate" in (settlement.error or "")


def test_a_bug_surfaces(stock: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    file = stock.file(KEY.format("a"))
    with monkeypatch.context() as patched:
        patched.setattr(source, "_read", broken)
        with pytest.raises(ZeroDivisionError):
            stock.loader.settle(stock.decrypted(file, A))
    assert stock.rows("SELECT count(*) FROM hikyaku.files") == [(0,)]
    assert stock.loader.settle(stock.decrypted(file, A)).status == "loaded"


def test_a_connection_lost_at_the_commit_is_looked_up_in_the_ledger(stock: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = backend(stock.loader)
    finish = ledger.finish
    with stock.database.server.connect() as admin, monkeypatch.context() as patched:

        def killing(*arguments: Any) -> None:
            finish(*arguments)
            admin.execute("SELECT pg_terminate_backend(%s, 10000)", (victim,))
            patched.undo()

        patched.setattr(ledger, "finish", killing)
        settlement = stock.send(KEY.format("a"), A)
    assert (settlement.verdict, settlement.status) == (Verdict.DONE, "loaded")
    assert stock.rows("SELECT id, v FROM stock") == [(1, "a")]
    assert stock.ledger(settlement)["attempts"] == 1
