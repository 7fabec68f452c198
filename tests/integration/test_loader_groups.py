"""Files that are loaded together, or not at all: in any order, twice, at once, and when a loader dies."""

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from integration.group_fixture import ALL, SEED, chunks, parts_of, progress, send, statuses, table, told
from integration.loader_fixture import Desk
from loader import assembling, loading
from loader import database as kept
from loader.loading import Loader
from loader.source import Source
from shared import failpoint
from shared.contract import Decrypted, Verdict
from shared.datasets_file import DatasetsFile
from shared.failpoint import Point

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture", "integration.group_fixture")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_parts_come_in_any_order_and_load_as_one(stock: Desk, order: tuple[int, ...]) -> None:
    parts = parts_of()
    first, second, last = send(stock, *(parts[place] for place in order))
    assert told([first, second]) == [("staged", None)] * 2
    assert {first.verdict, last.verdict} == {Verdict.DONE}
    assert last.status == "loaded"
    assert table(stock) == ALL
    assert statuses(stock) == {"loaded": 3}
    assert stock.rows("SELECT part, rows_in_file FROM hikyaku.files ORDER BY part") == [(1, 2), (2, 1), (3, 3)]
    assert [stock.ledger(each)["rows_loaded"] for each in (first, second, last)] == [None, None, 6]
    assert chunks(stock) == 0
    assert stock.spool_is_empty()


def test_nothing_is_in_the_table_before_the_last_part(stock: Desk) -> None:
    parts = parts_of()
    send(stock, parts[2], parts[0])
    assert table(stock) == []
    assert stock.spool_is_empty()
    assert progress(stock) == [("big", "open", 3, 2, "2")]
    send(stock, parts[1])
    assert progress(stock) == [("big", "loaded", 3, 3, None)]


def test_every_part_twice_in_random_orders(stock: Desk) -> None:
    chance = random.Random(SEED)
    for number in range(5):
        stock.table("stock (id int PRIMARY KEY, v text)")
        deliveries = parts_of(tuple(f"id,v\n{n},{number}\n" for n in range(1, 5)), f"group {number}") * 2
        chance.shuffle(deliveries)
        settled = send(stock, *deliveries)
        assert {each.verdict for each in settled} == {Verdict.DONE}, f"seed {SEED}"
        assert Counter(row[0] for row in stock.rows(f"SELECT status FROM hikyaku.files WHERE key LIKE '%group {number}%'")) == {
            "loaded": 4,
            "duplicate": 4,
        }
        assert table(stock) == [(n, str(number)) for n in range(1, 5)]


def test_the_same_version_again_changes_nothing(stock: Desk) -> None:
    parts = parts_of()
    item = parts[0].item(stock)
    assert [stock.loader.settle(item).status, stock.loader.settle(item).status] == ["staged", "staged"]
    send(stock, *parts[1:])
    assert stock.loader.settle(item).status == "loaded"
    assert table(stock) == ALL


def test_two_loaders_with_the_last_parts_at_once_load_once(stock: Desk) -> None:
    stock.table("stock (id int, v text)")
    stock.configure('[datasets.stock]\nmode = "append"\n')
    for number in range(4):
        parts = parts_of(tuple(f"id,v\n{n},{number}\n" for n in range(4)), f"group {number}")
        start = threading.Barrier(3)
        items = [part.item(stock) for part in parts]
        stock.loader.settle(items[0])

        def settle(item: Decrypted, start: threading.Barrier = start) -> str:
            loader = stock.another_loader()
            start.wait()
            status = loader.settle(item).status
            loader._database.close()
            return status

        with ThreadPoolExecutor(3) as pool:
            assert Counter(pool.map(settle, items[1:])) == {"staged": 2, "loaded": 1}
    assert stock.rows("SELECT count(*), count(DISTINCT v) FROM stock") == [(16, 4)]


@pytest.mark.parametrize("point", [Point.LOADER_CLAIMED, Point.LOADER_COPIED, Point.LOADER_MERGED, Point.LOADER_BEFORE_COMMIT])
def test_a_loader_that_is_killed_with_the_last_part_leaves_the_group_as_it_was(stock: Desk, point: Point) -> None:
    parts = parts_of()
    send(stock, parts[0], parts[1])
    before = (progress(stock), chunks(stock), statuses(stock), table(stock))
    last = parts[2].item(stock)
    killed(stock, last, point)
    assert (progress(stock), chunks(stock), statuses(stock), table(stock)) == before
    assert stock.loader.settle(last).status == "loaded"
    assert table(stock) == ALL


def test_a_loader_that_is_killed_with_another_part_leaves_nothing_of_it(stock: Desk) -> None:
    parts = parts_of()
    item = parts[0].item(stock)
    killed(stock, item, Point.LOADER_BEFORE_COMMIT)
    assert (progress(stock), chunks(stock)) == ([], 0)
    stock.loader.settle(item)
    assert told(send(stock, *parts[1:]))[-1] == ("loaded", None)


def test_a_loader_that_is_killed_behind_the_commit_has_loaded_the_group(stock: Desk) -> None:
    parts = parts_of()
    send(stock, parts[0], parts[1])
    last = parts[2].item(stock)
    killed(stock, last, Point.LOADER_AFTER_COMMIT)
    assert statuses(stock) == {"loaded": 3}
    assert stock.loader.settle(last).status == "loaded"
    assert stock.rows("SELECT DISTINCT attempts FROM hikyaku.files") == [(1,)]


def killed(desk: Desk, item: Decrypted, point: Point) -> None:
    """Let a process of its own take the file up and be killed on its way."""
    child = os.fork()
    if not child:
        failpoint.arm({failpoint.VARIABLE: f"{point}=kill"})
        desk.another_loader().settle(item)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_connection_lost_before_the_commit_costs_no_attempt(stock: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = parts_of()
    send(stock, parts[0], parts[1])
    lost = iter([True])

    def passed(at: Point, _key: str) -> None:
        if at is Point.LOADER_BEFORE_COMMIT and next(lost, False):
            with stock.database.server.connect() as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 10000)", (stock.loader._database.connection().info.backend_pid,))

    monkeypatch.setattr(loading, "failpoint", passed)
    last = send(stock, parts[2])[0]
    assert last.status == "loaded"
    assert stock.ledger(last)["attempts"] == 1
    assert table(stock) == ALL


def test_a_table_that_stays_locked_costs_the_group_nothing(stock: Desk) -> None:
    parts = parts_of()
    send(stock, *parts[:2])
    loader: Loader = stock.another_loader(lock_timeout=1)
    last = parts[2].item(stock)
    with stock.sql.transaction():
        stock.sql.execute("LOCK TABLE stock")
        assert told([loader.settle(last)]) == [("failed", "timeout")]
    assert progress(stock) == [("big", "open", 3, 2, "3")]
    assert stock.loader.settle(parts[2].item(stock)).status == "loaded"


def test_parts_larger_than_a_chunk(stock: Desk) -> None:
    chance = random.Random(SEED)
    rows = [(n, chance.randbytes(300).hex()) for n in range(9000)]
    contents = ["id,v\n" + "".join(f'{n},"{v}"\n' for n, v in rows[at : at + 3000]) for at in range(0, 9000, 3000)]
    first, *_, last = send(stock, *parts_of(contents))
    assert (first.status, last.status) == ("staged", "loaded")
    assert table(stock) == rows


def test_a_part_that_is_long_to_read_does_not_end_its_session(stock: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = kept.Database(stock.database.url(), 60, 600, idle_timeout=1)
    loader = Loader(connection, DatasetsFile(stock.folder / "datasets.toml"), stock.folder / "spool", "desk")
    chunks_of = Source.chunks

    def slowly(source: Source) -> Iterator[bytes]:
        for _ in range(16):
            time.sleep(0.1)
            yield b""
        yield from chunks_of(source)

    with monkeypatch.context() as patched:
        patched.setattr(assembling.Source, "chunks", slowly)
        assert loader.settle(parts_of()[0].item(stock)).status == "staged"
    connection.close()
