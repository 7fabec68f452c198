"""Which of two files is the newer one: by time, by its sender's number, or by a piece of its key; and what becomes of the numbers."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import pytest

from integration.loader_fixture import Desk
from shared.contract import Declared, Decrypted, Settlement

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

FILES, LOADERS = 20, 4
KEY = "incoming/stock/{}.csv.gz.age"
BY_SEQ = '[datasets.stock]\nmode = "replace"\norder_by = "seq"\n'
BY_DAY = '[datasets.stock]\nmatch = "incoming/stock/{day}.csv.gz.age"\nmode = "replace"\norder_by = "{day}"\n'
CONFIGURATIONS = {"event_time": '[datasets.stock]\nmode = "replace"\n', "seq": BY_SEQ, "day": BY_DAY}


@pytest.fixture
def stock(desk: Desk) -> Desk:
    desk.table("stock (id int PRIMARY KEY, v text)")
    return desk


def value(desk: Desk) -> str:
    return str(desk.rows("SELECT v FROM stock WHERE id = 1")[0][0])


def count(seq: int, sender: str = "acme", rows: int | None = None) -> Declared:
    return Declared(sender=sender, seq=seq, created_at="2026-05-01T09:00:00+09:00", rows=rows)


def sent(desk: Desk, name: str, content: str, declared: Declared | None, *, signer: str | None = "acme", **said: str) -> Settlement:
    item = desk.decrypted(desk.file(KEY.format(name), **said), f"id,v\n1,{content}\n".encode(), signer=signer, declared=declared)
    return desk.loader.settle(item)


@dataclass(frozen=True)
class Rank:
    """One file's place in each order; a file is told by its number."""

    number: int
    event_time: int
    seq: int
    day: int

    def place(self, order: str) -> int:
        """The greatest is the newest."""
        return {"event_time": self.event_time, "seq": self.seq, "day": self.day}[order]


def ranks(seed: int) -> list[Rank]:
    """Three orders that have nothing to do with one another, nor with the order of arrival."""
    chosen = random.Random(seed)
    orders = [chosen.sample(range(1, FILES + 1), FILES) for _ in range(3)]
    return [Rank(number, *places) for number, places in enumerate(zip(*orders, strict=True))]


def together(desk: Desk, items: list[Decrypted]) -> list[Settlement]:
    """Let several loaders take them one after another."""
    waiting: SimpleQueue[Decrypted] = SimpleQueue()
    for item in items:
        waiting.put(item)

    def work(_: int) -> list[Settlement]:
        loader, done = desk.another_loader(), []
        with suppress(Empty):
            while True:
                done.append(loader.settle(waiting.get_nowait()))
        return done

    with ThreadPoolExecutor(LOADERS) as pool:
        return [settlement for done in pool.map(work, range(LOADERS)) for settlement in done]


@pytest.mark.parametrize("order", CONFIGURATIONS)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_table_is_the_newest_whatever_comes_first(stock: Desk, order: str, seed: int) -> None:
    stock.configure(CONFIGURATIONS[order])
    files = ranks(seed)

    def item(rank: Rank) -> Decrypted:
        file = stock.file(KEY.format(rank.day), event_time=f"2026-05-01T00:00:{rank.event_time:02}Z")
        # Large enough that others commit while it is copied.
        content = "id,v\n" + "".join(f"{n},{rank.number}\n" for n in range(1, 500))
        return stock.decrypted(file, content.encode(), declared=count(rank.seq))

    settled = together(stock, [item(rank) for rank in files])
    newest = max(files, key=lambda rank: rank.place(order))
    assert {s.status for s in settled} <= {"loaded", "superseded"}
    assert stock.rows("SELECT DISTINCT v, count(*) OVER () FROM stock") == [(str(newest.number), 499)]
    # And at no time was an older one put over a newer one.
    loaded = stock.rows("SELECT split_part(key, '/', 3) FROM hikyaku.files WHERE status = 'loaded' ORDER BY loaded_at")
    by_day = {rank.day: rank.place(order) for rank in files}
    places = [by_day[int(name.split(".")[0])] for (name,) in loaded]
    assert places == sorted(places)


@pytest.mark.parametrize("seed", [1, 2])
def test_versions_of_one_key_are_ordered_by_their_numbers(stock: Desk, seed: int) -> None:
    """Also where S3 says otherwise: somebody has put an old file again."""
    stock.configure('[datasets.stock]\norder_by = "seq"\n')

    def item(rank: Rank) -> Decrypted:
        file = stock.file(KEY.format("a"), sequencer=f"{rank.event_time:04X}")
        return stock.decrypted(file, f"id,v\n1,{rank.number}\n".encode(), declared=count(rank.seq))

    files = ranks(seed)
    together(stock, [item(rank) for rank in files])
    assert value(stock) == str(max(files, key=lambda rank: rank.seq).number)


def test_the_same_day_sent_again_corrects_it(stock: Desk) -> None:
    stock.configure(BY_DAY)
    sends = [("20261124", "a", "1"), ("20261125", "b", "1"), ("20261125", "c", "2"), ("20261124", "d", "2"), ("20261125", "b", "1F")]
    assert [sent(stock, day, v, None, sequencer=s).status for day, v, s in sends] == [
        "loaded",
        "loaded",
        "loaded",
        "superseded",
        "superseded",
    ]
    assert value(stock) == "c"
    assert stock.rows("SELECT DISTINCT order_by, ltrim(order_value, '0') FROM hikyaku.files ORDER BY 2") == [
        ("{day}", "20261124"),
        ("{day}", "20261125"),
    ]


def test_between_senders_and_without_a_signature_numbers_say_nothing(stock: Desk) -> None:
    stock.configure(BY_SEQ)
    early, late = ("2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z")
    assert sent(stock, "a", "forged", count(999), signer=None, event_time=early).status == "loaded"
    assert sent(stock, "b", "b", count(5), event_time=late).status == "loaded", "who signs nothing does not hold up acme"
    assert sent(stock, "c", "c", count(6, "other"), signer="other", event_time=early).status == "superseded", "by its time"
    assert value(stock) == "b"


def test_after_a_change_of_the_setting_time_tells_until_both_have_the_new_order(stock: Desk) -> None:
    stock.configure(BY_DAY)
    assert sent(stock, "29991231", "typo", None, event_time="2026-05-02T00:00:00Z").status == "loaded"
    assert sent(stock, "20261125", "late", None, event_time="2026-05-03T00:00:00Z").status == "superseded"
    stock.configure(BY_DAY.replace("{day}", "{date}"))
    assert sent(stock, "20261124", "old", None, event_time="2026-05-01T00:00:00Z").status == "superseded"
    assert sent(stock, "20261125", "right", None, event_time="2026-05-03T00:00:01Z").status == "loaded"
    assert value(stock) == "right"


def test_a_file_without_a_number_where_one_is_needed(stock: Desk) -> None:
    for option in ('order_by = "seq"', 'seq = "unique"'):
        stock.configure(f"[datasets.stock]\n{option}\n")
        refused = sent(stock, "a", "a", None)
        assert (refused.status, refused.error_code) == ("rejected", "seq_missing")
        assert f"({option.split(' ', maxsplit=1)[0]} in datasets.toml)" in (refused.error or "")
    assert stock.rows("SELECT count(*) FROM stock") == [(0,)]


def test_a_number_is_good_for_one_content_of_one_sender(stock: Desk) -> None:
    stock.configure('[datasets.stock]\nseq = "unique"\n')
    assert sent(stock, "a", "a", count(7)).status == "loaded"
    again = sent(stock, "b", "b", count(7))
    assert (again.status, again.error_code) == ("rejected", "seq_repeated")
    assert "acme has sent other content as number 7" in (again.error or "")
    assert value(stock) == "a"
    assert sent(stock, "a", "a", count(7)).status == "duplicate"
    assert sent(stock, "b", "b", count(7, "other"), signer="other").status == "loaded"
    assert sent(stock, "c", "c", count(7), signer=None).status == "loaded", "the same name, but nobody vouches for it"


def test_each_folder_has_numbers_of_its_own(stock: Desk) -> None:
    """A sender can't know which folders go into one dataset, nor that one folder goes into two."""
    stock.configure('[datasets.stock]\nmatch = "incoming/s*/*"\nmode = "replace"\norder_by = "seq"\nseq = "unique"\n')
    stock.table("extra (id int PRIMARY KEY, v text)")

    def status(key: str, seq: int, second: int) -> str:
        file = stock.file(f"incoming/{key}.csv.gz.age", event_time=f"2026-05-01T00:00:{second:02}Z")
        return stock.loader.settle(stock.decrypted(file, f"id,v\n1,{key}\n".encode(), declared=count(seq))).status

    assert [status("south/a", 7, 1), status("stock/a", 3, 2), status("stock/b", 7, 3), status("south/b", 8, 0)] == [
        "loaded",
        "loaded",
        "loaded",
        "superseded",
    ]
    assert value(stock) == "stock/b"
    stock.configure('[datasets.extra]\nmatch = "incoming/stock/extra-*"\nseq = "unique"\n')
    assert [status("stock/extra-1", 7, 4), status("stock/extra-1", 8, 4)] == ["rejected", "loaded"]
    assert [row[:8] for row in stock.rows(SEQUENCE)] == [
        ("south", "acme", True, 7, 8, 2, 0, None),
        ("stock", "acme", True, 3, 8, 3, 3, "4-6"),
    ]


def test_one_number_twice_at_once_is_loaded_once(stock: Desk) -> None:
    stock.configure('[datasets.stock]\nmode = "append"\nseq = "unique"\n')
    stock.table("stock (id int, v text)")
    items = [
        stock.decrypted(stock.file(KEY.format(n)), f"id,v\n1,{n}\n".encode() + b"2,x\n" * 500, declared=count(1)) for n in range(LOADERS)
    ]
    assert sorted(s.status for s in together(stock, items)) == ["loaded"] + ["rejected"] * (LOADERS - 1)
    assert stock.rows("SELECT count(*) FROM stock") == [(501,)]


@pytest.mark.parametrize("key", ["stock", "test/stock"])
def test_a_file_with_other_rows_than_its_sender_counted_is_not_loaded(stock: Desk, key: str) -> None:
    stock.configure("[datasets.stock]\nmax_rejected_rows = 5\n")
    for rows in (1, 3):
        file = stock.file(f"incoming/{key}/a.csv.gz.age")
        settled = stock.loader.settle(stock.decrypted(file, b"id,v\n1,a\nwrong,b\n", declared=count(rows, rows=rows)))
        assert (settled.status, settled.error_code) == ("rejected", "rows_mismatch")
        assert f"the manifest says {rows} records, the file has 2" in (settled.error or "")
        assert stock.rows("SELECT (SELECT count(*) FROM stock), (SELECT count(*) FROM hikyaku.rejected_rows)") == [(0, 0)]
    right = stock.loader.settle(stock.decrypted(stock.file(f"incoming/{key}/a.csv.gz.age"), b"id,v\n1,a\n2,b\n", declared=count(4, rows=2)))
    assert right.status == ("loaded" if key == "stock" else "tested")
    row = stock.ledger(right)
    assert (row["sender"], row["seq"], row["declared_rows"], row["declared_at"].isoformat()) == ("acme", 4, 2, "2026-05-01T00:00:00+00:00")


def test_what_a_sender_has_stated_is_not_forgotten_by_a_failure(stock: Desk) -> None:
    file = stock.file(KEY.format("a"))
    stock.loader.settle(stock.decrypted(file, b"id,v\n1,a,b\n", declared=count(3)))
    settled = stock.loader.settle(stock.decrypted(file, b"id,v\n1,a\n"))
    assert (settled.status, stock.ledger(settled)["seq"]) == ("loaded", 3)


SEQUENCE = """
SELECT folder, sender, signed, first, last, seen, missing_count::int, missing, repeated_count::int, repeated FROM hikyaku.sender_sequence
"""


def test_gaps_and_repeats_of_each_sender_are_shown(stock: Desk) -> None:
    for number, seq in enumerate((3, 5, 6, 10, 5, 6)):
        # The second 6 has the content of the first.
        sent(stock, f"{number}", f"{seq if seq == 6 else number}", count(seq))
    sent(stock, "u", "u", count(1, "acme"), signer=None)
    sent(stock, "bad", "1,too much", count(11))
    stock.loader.settle(stock.decrypted(stock.file("incoming/test/stock/a.csv.gz.age"), b"id,v\n1,a\n", declared=count(4)))
    assert stock.rows(SEQUENCE) == [
        ("stock", "acme", False, 1, 1, 1, 0, None, 0, None),
        ("stock", "acme", True, 3, 11, 5, 4, "4, 7-9", 1, "5"),
    ]


def test_many_gaps_are_named_in_part(stock: Desk) -> None:
    with stock.database.connect("hikyaku_loader") as loader:
        loader.execute(
            "INSERT INTO hikyaku.files (bucket, key, version_id, file_id, dataset, status, size_bytes, event_time, received_at, loaded_at,"
            " sender, seq) SELECT 'inbox', 'incoming/stock/' || n, 'v', '', 'stock', 'loaded', 1, now(), now(), now(), 'acme', n * 2"
            " FROM generate_series(1, 30) n"
        )
    [row] = stock.rows(SEQUENCE)
    assert row[3:7] == (2, 60, 30, 29)
    assert row[7] == ", ".join(str(n) for n in range(3, 42, 2)) + ", …"
