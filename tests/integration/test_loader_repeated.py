"""Records that repeat a key: the file's order decides, which no table keeps once its rows have different sizes."""

import random

import pytest

from integration.group_fixture import parts_of, send
from integration.loader_fixture import Desk

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

KEY = "incoming/stock/{}.csv.gz.age"
KEYS = 5_000
SIZES = (1, 5, 50, 300, 2000)


@pytest.fixture(params=["desk", "old_desk"])
def stock(request: pytest.FixtureRequest) -> Desk:
    """Its session has its staging table already: PostgreSQL fills up the pages of those that are not new in their transaction."""
    desk: Desk = request.getfixturevalue(request.param)
    desk.table("stock (id int PRIMARY KEY, v text)")
    desk.configure("")
    assert desk.send(KEY.format("first"), "id,v\n1,a\n").status == "loaded"
    return desk


def records(seed: int) -> list[tuple[int, str]]:
    """Each key twice, in any order, the values of all sizes."""
    dice = random.Random(seed)
    keys = [*range(KEYS), *range(KEYS)]
    dice.shuffle(keys)
    return [(key, f"{number} {'x' * dice.choice(SIZES)}") for number, key in enumerate(keys)]


def written(pairs: list[tuple[int, str]]) -> str:
    return "id,v\n" + "".join(f"{key},{value}\n" for key, value in pairs)


@pytest.mark.parametrize("options", ["", "\nmax_rejected_rows = 9"], ids=["strict", "tolerant"])
@pytest.mark.parametrize("which", ["last", "first"])
def test_the_one_that_is_to_count_does(stock: Desk, which: str, options: str) -> None:
    stock.configure(f'[datasets.stock]\non_duplicate_key = "{which}"{options}\n')
    pairs = records(1)
    settlement = stock.send(KEY.format("a"), written(pairs))
    assert settlement.status == "loaded", settlement.error
    assert dict(stock.rows("SELECT * FROM stock")) == dict(pairs if which == "last" else pairs[::-1])
    counts = stock.ledger(settlement)
    assert [counts[f"rows_{what}"] for what in ("in_file", "inserted", "updated", "rejected")] == [2 * KEYS, KEYS - 1, 1, 0]


def test_the_last_counts_beside_wrong_records(stock: Desk) -> None:
    stock.configure('[datasets.stock]\non_duplicate_key = "last"\nmax_rejected_rows = 9\n')
    pairs = records(2)
    settlement = stock.send(KEY.format("a"), written(pairs) + "x,no number\n1,too,many\n")
    assert settlement.status == "loaded", settlement.error
    assert dict(stock.rows("SELECT * FROM stock")) == dict(pairs)
    assert stock.rows("SELECT line_number FROM hikyaku.rejected_rows ORDER BY 1") == [(2 * KEYS + 2,), (2 * KEYS + 3,)]


def test_the_last_part_counts(stock: Desk) -> None:
    stock.configure('[datasets.stock]\non_duplicate_key = "last"\n')
    pairs = records(3)
    contents = [written(pairs[begin : begin + KEYS // 2]) for begin in range(0, len(pairs), KEYS // 2)]
    settled = send(stock, *parts_of(tuple(contents)))
    assert settled[-1].status == "loaded", settled[-1].error
    assert dict(stock.rows("SELECT * FROM stock")) == dict(pairs)


def test_the_first_that_repeats_a_key_is_named(stock: Desk) -> None:
    pairs = records(4)
    keys = [key for key, _ in pairs]
    line = next(number for number, key in enumerate(keys) if key in keys[:number]) + 2
    settlement = stock.send(KEY.format("a"), written(pairs))
    assert settlement.error_code == "duplicate_keys"
    assert f"the first in line {line}:" in (settlement.error or "")
