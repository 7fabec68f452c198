"""Exactly once, in order: repeats, older versions, the same content again, and files that come together."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from integration.loader_fixture import Desk
from shared.contract import Problem, Verdict
from shared.errors import ErrorCode

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

TOGETHER = 10
KEY = "incoming/stock/{}.csv.gz.age"
A, B, C = (f"id,v\n1,{letter}\n" for letter in "abc")


@pytest.fixture
def stock(desk: Desk) -> Desk:
    desk.table("stock (id int PRIMARY KEY, v text)")
    return desk


def value(desk: Desk) -> str:
    return str(desk.rows("SELECT v FROM stock WHERE id = 1")[0][0])


def test_a_settled_file_is_not_touched_again(stock: Desk) -> None:
    file = stock.file(KEY.format("a"))
    first = stock.loader.settle(stock.decrypted(file, A.encode()))
    stock.sql.execute("UPDATE stock SET v = 'by hand'")
    again = stock.loader.settle(stock.decrypted(file, A.encode()))
    late = stock.loader.settle(
        stock.decrypted(file, None, problem=Problem(error_code=ErrorCode.OBJECT_MISSING, message="gone", retry=False))
    )
    assert [s.status for s in (first, again, late)] == ["loaded"] * 3
    assert late.verdict is Verdict.DONE
    assert value(stock) == "by hand"
    assert stock.ledger(first)["attempts"] == 1
    assert stock.spool_is_empty()


def test_ten_copies_of_a_file_at_once_load_it_once(stock: Desk) -> None:
    file, start = stock.file(KEY.format("a")), threading.Barrier(TOGETHER)
    rows = "".join(f"{n},x\n" for n in range(20_000))

    def copy(_: int) -> str:
        loader, item = stock.another_loader(), stock.decrypted(file, ("id,v\n" + rows).encode())
        start.wait()
        return loader.settle(item).status

    with ThreadPoolExecutor(TOGETHER) as pool:
        outcomes = Counter(pool.map(copy, range(TOGETHER)))
    # Who finds the spool emptied by the winner comes too late to be asked again: the ledger has the answer first.
    assert outcomes == {"loaded": TOGETHER}
    assert stock.rows("SELECT attempts, rows_changed FROM hikyaku.files") == [(1, 20_000)]
    assert stock.rows("SELECT count(*) FROM stock") == [(20_000,)]


def test_many_files_over_the_same_keys_neither_deadlock_nor_mix(stock: Desk) -> None:
    start = threading.Barrier(TOGETHER)
    ids = list(range(3000))

    def one(number: int) -> str:
        mine = random.Random(number).sample(ids, len(ids))
        content = "id,v\n" + "".join(f"{n},{number}\n" for n in mine)
        item = stock.decrypted(stock.file(KEY.format(number)), content.encode())
        loader = stock.another_loader()
        start.wait()
        return loader.settle(item).status

    with ThreadPoolExecutor(TOGETHER) as pool:
        assert Counter(pool.map(one, range(TOGETHER))) == {"loaded": TOGETHER}
    assert stock.rows("SELECT count(*), count(DISTINCT v) FROM stock") == [(3000, 1)]


def test_two_connections_with_the_same_content_load_it_once(stock: Desk) -> None:
    start = threading.Barrier(TOGETHER)

    def one(number: int) -> str:
        item, loader = stock.decrypted(stock.file(KEY.format(number)), A.encode()), stock.another_loader()
        start.wait()
        return loader.settle(item).status

    with ThreadPoolExecutor(TOGETHER) as pool:
        assert Counter(pool.map(one, range(TOGETHER))) == {"loaded": 1, "duplicate": TOGETHER - 1}


ORDERS = [
    ({"sequencer": "0A"}, {"sequencer": "09"}),
    ({"sequencer": "0055AED6DCD90281E5"}, {"sequencer": "0055AED6DCD90281E4FF"}),
    ({"sequencer": "B", "event_time": "2026-01-01T00:00:00Z"}, {"sequencer": "A", "event_time": "2026-01-02T00:00:00Z"}),
    ({"event_time": "2026-01-02T00:00:00Z"}, {"event_time": "2026-01-01T23:59:59Z"}),
    (
        {"sequencer": "A", "event_time": "2026-01-02T00:00:00Z"},
        {"sequencer": "A00", "event_time": "2026-01-01T00:00:00Z"},
    ),
    ({"sequencer": "A", "event_time": "2026-01-02T00:00:00Z"}, {"event_time": "2026-01-01T00:00:00Z"}),
]


@pytest.mark.parametrize(("newer", "older"), ORDERS)
def test_an_older_version_never_overwrites_a_newer_one(stock: Desk, newer: dict[str, str], older: dict[str, str]) -> None:
    assert stock.send(KEY.format("a"), A, **newer).status == "loaded"
    late = stock.send(KEY.format("a"), B, **older)
    assert (late.verdict, late.status) == (Verdict.DONE, "superseded")
    assert value(stock) == "a"
    assert stock.send(KEY.format("a"), A, **(newer | {"version_id": "again"})).status == "duplicate"
    assert stock.send(KEY.format("other"), B, **older).status == "loaded"


def test_in_the_right_order_both_load(stock: Desk) -> None:
    for newer, older in ORDERS:
        stock.send(KEY.format(str(newer)), C, **older)
        assert stock.send(KEY.format(str(newer)), A, **newer).status in {"loaded", "duplicate"}


def test_an_older_version_that_copies_while_a_newer_one_commits_is_superseded(stock: Desk) -> None:
    older = stock.decrypted(stock.file(KEY.format("a"), sequencer="1"), B.encode())
    newer = stock.decrypted(stock.file(KEY.format("a"), sequencer="2"), A.encode())
    oid = stock.rows("SELECT 'stock'::regclass::oid::bigint")[0][0]
    blocker = stock.database.connect()
    with ThreadPoolExecutor(1) as pool:
        # Hold the older one between its COPY and its last look into the ledger.
        blocker.execute("SELECT pg_advisory_lock(%s)", (0x68696B79 << 32 | oid,))
        waiting = pool.submit(stock.another_loader().settle, older)
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while stock.rows(query) == [(0,)]:
            pass
        settle_meanwhile(stock, newer.file.version_id)
        blocker.close()
        assert waiting.result().status == "superseded"
    assert stock.rows("SELECT count(*) FROM stock") == [(0,)]


def settle_meanwhile(desk: Desk, version: str) -> None:
    """Write what a loader writes for the newer version, whose lock the blocker holds."""
    with desk.database.connect("hikyaku_loader") as loader:
        loader.execute(
            "INSERT INTO hikyaku.files (bucket, key, version_id, file_id, dataset, status, sequencer, size_bytes,"
            " event_time, received_at, loaded_at)"
            " VALUES ('inbox', %s, %s, '', 'stock', 'loaded', '2', 1, now(), now(), now())",
            (KEY.format("a"), version),
        )


def test_content_a_then_b_then_a_again_loads_a_again(stock: Desk) -> None:
    assert [stock.send(KEY.format("a"), content).status for content in (A, B, A, A)] == ["loaded", "loaded", "loaded", "duplicate"]
    assert value(stock) == "a"


def test_a_late_version_does_not_pass_a_duplicate(stock: Desk) -> None:
    stock.send(KEY.format("a"), A, sequencer="1")
    assert stock.send(KEY.format("a"), A, sequencer="3").status == "duplicate"
    assert stock.send(KEY.format("a"), B, sequencer="2").status == "superseded"
    assert value(stock) == "a"


def test_the_same_content_under_another_key(stock: Desk) -> None:
    stock.send(KEY.format("a"), A)
    assert stock.send(KEY.format("b"), A).status == "duplicate"
    stock.configure('[datasets.stock]\non_duplicate_content = "load"\n')
    assert stock.send(KEY.format("c"), A).status == "loaded"
    assert stock.send(KEY.format("c"), A).status == "duplicate"


def test_the_same_content_for_another_table_is_no_duplicate(stock: Desk) -> None:
    stock.table("stock2 (id int PRIMARY KEY, v text)")
    stock.send(KEY.format("a"), A)
    assert stock.send("incoming/stock2/a.csv.gz.age", A).status == "loaded"
    stock.configure('[datasets.stock]\ntable = "stock2"\n')
    stock.sql.execute("TRUNCATE stock2")
    assert stock.send(KEY.format("b"), A).status == "loaded"


def test_a_rejected_or_tested_file_makes_no_duplicate(stock: Desk) -> None:
    assert stock.send("incoming/test/stock/a.csv.gz.age", A).status == "tested"
    stock.configure("[datasets.stock]\nmax_bytes = 3\n")
    assert stock.send(KEY.format("a"), A).status == "rejected"
    stock.configure("")
    assert stock.send(KEY.format("b"), A).status == "loaded"


def test_a_whole_table_is_compared_with_the_last_whole_table(stock: Desk) -> None:
    stock.configure('[datasets.stock]\nmode = "replace"\n')
    keys_and_contents = [("1", A), ("2", B), ("3", A), ("4", A), ("4", A), ("4", B)]
    outcomes = [stock.send(KEY.format(name), content).status for name, content in keys_and_contents]
    assert outcomes == ["loaded", "loaded", "loaded", "duplicate", "duplicate", "loaded"]
    assert value(stock) == "b"


def test_an_older_whole_table_under_another_key_is_superseded(stock: Desk) -> None:
    stock.configure('[datasets.stock]\nmode = "replace"\n')
    stock.send(KEY.format("april"), B, event_time="2026-04-01T00:00:00Z")
    assert stock.send(KEY.format("march"), A, event_time="2026-03-01T00:00:00Z").status == "superseded"
    assert value(stock) == "b"
