"""A record that marks a deletion needs its key and its mark, no more: what the table asks of a row is not asked of it."""

import pytest

from integration.loader_fixture import Desk

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

KEY = "incoming/stock/{}.csv.gz.age"
HEAD = "id,name,n,status\n"


@pytest.fixture(params=["desk", "old_desk"])
def stock(request: pytest.FixtureRequest) -> Desk:
    desk: Desk = request.getfixturevalue(request.param)
    desk.table("stock (id int PRIMARY KEY, name text NOT NULL, n int CHECK (n > 0))")
    desk.sql.execute("INSERT INTO stock SELECT i, 'a', 1 FROM generate_series(1, 5) AS i")
    return desk


def send(desk: Desk, content: str, options: str = "") -> tuple[str, str | None]:
    desk.configure(f"[datasets.stock]\ndelete_when = {{status = 'D'}}\n{options}\n")
    settlement = desk.send(KEY.format("a"), HEAD + content)
    return settlement.status, settlement.error


@pytest.mark.parametrize("options", ["", "max_rejected_rows = 1"], ids=["strict", "tolerant"])
def test_a_deletion_needs_no_other_values(stock: Desk, options: str) -> None:
    assert send(stock, "1,,,D\n2,,0,D\n3,b,2,\n", options) == ("loaded", None)
    assert stock.rows("SELECT id, name FROM stock ORDER BY id") == [(3, "b"), (4, "a"), (5, "a")]


@pytest.mark.parametrize("wrong", ["9,x,y,", "9,,1,", "9,x,0,", "9,x", ",,,D"], ids=["value", "lacking", "check", "ragged", "no key"])
def test_nor_does_it_beside_a_wrong_record(stock: Desk, wrong: str) -> None:
    assert send(stock, f"1,,,D\n{wrong}\n2,,0,D\n3,b,2,\n", "max_rejected_rows = 1") == ("loaded", None)
    assert stock.rows("SELECT id, name FROM stock ORDER BY id") == [(3, "b"), (4, "a"), (5, "a")]
    assert stock.rows("SELECT line_number FROM hikyaku.rejected_rows") == [(3,)]


def test_a_row_that_lacks_a_value_is_named_in_a_strict_dataset_too(stock: Desk) -> None:
    status, error = send(stock, "1,,,D\n3,,2,\n")
    assert (status, error) == ("rejected", "line 3, column name has no value where the table requires one")
