"""Kill each part while a file is half-way through it: the file is loaded exactly once, within the visibility timeouts.

A file is held half-way by a lock on its table (the loader waits inside its transaction, after COPY) or by stopping the decryptor's
children (the task has been handed to one). The targets have no key and the mode is append, so that a second load would show.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from line import Line, Put, Start, eventually
from psycopg import sql

VISIBILITY_TIMEOUT_S = 20
DEADLINE_S = 30
RECOVERY_S = 60.0
FLOWS_AGAIN_S = 10.0
CSV = b"id,item\n" + b"".join(b"%d,item %d\n" % (n, n) for n in range(5000))


@pytest.fixture(scope="module")
def fragile(start_stack: Start) -> Line:
    return start_stack(
        HIKYAKU_VISIBILITY_TIMEOUT=str(VISIBILITY_TIMEOUT_S),
        HIKYAKU_BROKER_VISIBILITY_TIMEOUT="10",
        HIKYAKU_TASK_DEADLINE=str(DEADLINE_S),
        HIKYAKU_LOG_FORMAT="json",
    )


@pytest.fixture
def table(fragile: Line) -> str:
    name = fragile.table("id int, item text")
    fragile.configure(f'[datasets.{name}]\nmode = "append"\n')
    return name


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


@contextmanager
def locked(line: Line, table: str) -> Iterator[Callable[[], bool]]:
    """Hold the table's lock; yields a predicate that tells whether a loader waits for it."""
    # Closed, not committed, at the end: PostgreSQL may have been killed meanwhile, and closing says nothing to it.
    with closing(psycopg.connect(line.endpoints["HIKYAKU_DATABASE_URL"])) as connection:
        connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier("public", table)))

        def waited_for() -> bool:
            waiting = "SELECT 1 FROM pg_locks WHERE relation = %s::regclass AND NOT granted"
            return bool(line.sql(waiting, f"public.{table}"))

        yield waited_for


def assert_loaded_once(line: Line, table: str, put: Put) -> None:
    line.fate(put, "loaded", timeout=RECOVERY_S)
    line.quiet(timeout=RECOVERY_S)
    assert line.sql(f"SELECT count(*) AS n, count(DISTINCT id) AS d FROM public.{table}") == [{"n": 5000, "d": 5000}]
    assert line.messages(line.dlq_url) == 0


def loader_children(line: Line) -> list[int]:
    return children(line.pid("loader"))


def loader_and_children(line: Line) -> list[int]:
    pid = line.pid("loader")
    return [pid, *children(pid)]


def poller(line: Line) -> list[int]:
    return [line.pid("poller")]


def redis(line: Line) -> list[int]:
    return [line.pid("redis")]


@pytest.mark.parametrize("victims", [loader_children, loader_and_children, poller, redis])
def test_a_kill_while_the_loader_is_in_its_transaction(fragile: Line, table: str, victims: Callable[[Line], list[int]]) -> None:
    with locked(fragile, table) as waited_for:
        put = fragile.send(table, CSV)
        eventually(waited_for, what="the loader waits for the lock")
        for pid in victims(fragile):
            os.kill(pid, signal.SIGKILL)
    assert_loaded_once(fragile, table, put)


@pytest.mark.parametrize("whole", [False, True], ids=["children", "whole worker"])
def test_a_kill_while_the_decryptor_has_the_file(fragile: Line, table: str, whole: bool) -> None:
    parent = fragile.pid("decryptor")
    stopped = eventually(lambda: children(parent), what="the decryptor has children")
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    put = fragile.send(table, CSV)
    eventually(fragile.broker_holds_task, what="the task is with the decryptor")
    for pid in [*([parent] if whole else []), *stopped]:
        os.kill(pid, signal.SIGKILL)
    assert_loaded_once(fragile, table, put)


def test_postgres_killed_while_the_loader_is_in_its_transaction(fragile: Line, table: str) -> None:
    with locked(fragile, table) as waited_for:
        put = fragile.send(table, CSV)
        eventually(waited_for, what="the loader waits for the lock")
        old = fragile.pid("postgres")
        os.kill(old, signal.SIGKILL)
    eventually(lambda: fragile.pid("postgres") != old, what="another PostgreSQL runs")
    fragile.wait_for_database()
    assert_loaded_once(fragile, table, put)


def test_sigterm_hands_the_poller_s_messages_back(fragile: Line, table: str) -> None:
    with locked(fragile, table) as waited_for:
        put = fragile.send(table, CSV)
        eventually(waited_for, what="the loader waits for the lock")
        old = fragile.pid("poller")
        os.kill(old, signal.SIGTERM)
        eventually(lambda: fragile.pid("poller") != old, what="another poller runs", timeout=RECOVERY_S)
    assert_loaded_once(fragile, table, put)


# Outages: what is away costs no file an attempt


def said(line: Line, event: str, **what: object) -> list[dict[str, object]]:
    """The poller's log lines of one event."""
    text = (line.folder / "logs" / "poller.log").read_text(encoding="utf-8")
    lines = [json.loads(each) for each in text.splitlines() if each.startswith("{")]
    return [each for each in lines if each["event"] == event and each.items() >= what.items()]


def receives(line: Line, put: Put) -> list[object]:
    """How often SQS had handed the file's message out, at each time that the poller received it."""
    return [each["attempt"] for each in said(line, "received") if put.key in str(each["keys"])]


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def elapse(seconds: float) -> None:
    """An outage of so long."""
    end = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > end, what="the outage lasts", timeout=seconds + 1)


def test_workers_that_are_away_for_several_deadlines_cost_one_receive(fragile: Line, table: str) -> None:
    parents = [fragile.pid("decryptor"), fragile.pid("loader")]
    with stopped([pid for parent in parents for pid in (parent, *children(parent))]):
        put = fragile.send(table, CSV)
        elapse(2.5 * DEADLINE_S)
        assert receives(fragile, put) == [1]
        assert len(said(fragile, "away", dependency="workers")) == 1
    assert_loaded_once(fragile, table, put)
    assert len(receives(fragile, put)) <= 2
    assert len(said(fragile, "back", dependency="workers")) == 1


def test_postgres_away_burns_no_receive_and_files_flow_soon_after(fragile: Line, table: str) -> None:
    postmaster = fragile.pid("postgres")
    with stopped([postmaster]):
        # It takes connections and says nothing; the sessions are gone.
        for pid in children(postmaster):
            os.kill(pid, signal.SIGKILL)
        put, others = fragile.send(table, CSV), [fragile.send(table, CSV + b"%d,x\n" % (5000 + n)) for n in range(3)]
        elapse(20)
    fragile.wait_for_database()
    for each in (put, *others):
        fragile.fate(each, "loaded", timeout=FLOWS_AGAIN_S)
        assert receives(fragile, each) == [1]
    fragile.quiet(timeout=RECOVERY_S)
    assert fragile.messages(fragile.dlq_url) == 0
    assert len(said(fragile, "away", dependency="postgresql")) == len(said(fragile, "back", dependency="postgresql")) == 1
