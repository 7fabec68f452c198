"""What a table refuses is found among rows that it takes, in any number, and the session goes on with the same staging table."""

import pytest

from integration.loader_fixture import Desk
from loader import records

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

KEY = "incoming/stock/{}.csv.gz.age"
RECORDS = 3_000


@pytest.fixture(params=["desk", "old_desk"])
def stock(request: pytest.FixtureRequest) -> Desk:
    desk: Desk = request.getfixturevalue(request.param)
    desk.table("owners (id int PRIMARY KEY)")
    desk.sql.execute("INSERT INTO owners SELECT generate_series(0, 9)")
    desk.table("stock (id int PRIMARY KEY, owner int REFERENCES owners, code text UNIQUE)")
    desk.configure('[datasets.stock]\nmax_rejected_rows = 0.2\non_duplicate_content = "load"\n')
    return desk


@pytest.mark.parametrize("wrong", [{0}, {RECORDS - 1}, {7, 8, 1234, 2999}, set(range(0, RECORDS, 9))], ids=["first", "last", "few", "many"])
@pytest.mark.parametrize("other", ["", "x"], ids=["alone", "beside a wrong value"])
def test_each_refused_row_is_put_aside(stock: Desk, wrong: set[int], other: str) -> None:
    lines = [f"{n},{99 if n in wrong and n % 2 else n % 10},{'twice' if n in wrong and not n % 2 else n}" for n in range(RECORDS)]
    # The first of those with one code is taken.
    taken = {min(n for n in wrong if not n % 2)} if any(not n % 2 for n in wrong) else set()
    content = "id,owner,code\n" + "\n".join([*lines, *([f"{other},1,"] if other else [])])
    for name in ("a", "b"):
        settlement = stock.send(KEY.format(name), content)
        assert settlement.status == "loaded", settlement.error
        refused = [(n + 2,) for n in sorted(wrong - taken)] + ([(RECORDS + 2,)] if other else [])
        query = "SELECT line_number FROM hikyaku.rejected_rows WHERE key = '{}' ORDER BY 1"
        assert stock.rows(query.format(KEY.format(name))) == refused
        assert stock.rows("SELECT count(*) FROM stock") == [(RECORDS - len(wrong - taken),)]
        counts = stock.ledger(settlement)
        assert counts["rows_inserted"] + counts["rows_unchanged"] == RECORDS - len(wrong - taken)
    assert [counts["rows_inserted"], counts["rows_updated"]] == [0, 0]


def test_a_check_that_is_not_enforced_refuses_nothing(desk: Desk) -> None:
    desk.table("stock (id int PRIMARY KEY, n int, CONSTRAINT lax CHECK (n > 0) NOT ENFORCED, CONSTRAINT hard CHECK (n < 9))")
    desk.configure("[datasets.stock]\nmax_rejected_rows = 2\n")
    assert desk.send(KEY.format("a"), "id,n\n1,1\n2,0\n3,9\nx,1\n").status == "loaded"
    assert desk.rows("SELECT line_number FROM hikyaku.rejected_rows ORDER BY 1") == [(4,), (5,)]
    assert desk.rows("SELECT id FROM stock ORDER BY id") == [(1,), (2,)]


@pytest.mark.parametrize("rule", ["REFERENCES item", "CHECK (item < 2)"])
def test_no_file_has_more_wrong_records_than_are_held_in_memory_whatever_share_is_tolerated(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    monkeypatch.setattr(records, "MOST_REJECTS", 10)
    desk.configure("[datasets.stock]\nmax_rejected_rows = 0.9\n")
    desk.table("item (id int PRIMARY KEY)")
    desk.sql.execute("INSERT INTO item VALUES (1)")
    desk.table(f"stock (id int PRIMARY KEY, item int {rule})")
    made = desk.send(KEY.format("many"), "id,item\n" + "".join(f"{n},{n % 2 + 1}\n" for n in range(60)))
    assert (made.status, made.error_code) == ("rejected", "too_many_rejected_rows"), made.error
    assert desk.rows("SELECT count(*) FROM stock") == [(0,)]
