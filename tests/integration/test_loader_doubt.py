"""PostgreSQL 16: columns come into doubt one after another, and each record is accounted for wherever its segment ends."""

import random
from datetime import date
from decimal import Decimal

import pytest

from integration.loader_fixture import Desk
from loader import copying, relation, segments, source, text_staging
from loader.layout import Field, Layout
from shared.datasets import Dataset

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

KEY = "incoming/stock/{}.csv.gz.age"
COLUMNS = "id int PRIMARY KEY, day date, amount numeric(6, 2), code varchar(4), note text"
RECORDS = 3_000


@pytest.fixture
def stock(old_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A file has some hundred segments: they end with the pieces, which are the chunks that are read."""
    monkeypatch.setattr(segments, "SEGMENT", 1000)
    monkeypatch.setattr(source, "CHUNK", 600)
    old_desk.table(f"stock ({COLUMNS})")
    old_desk.configure("[datasets.stock]\nmax_rejected_rows = 0.5\n")
    return old_desk


@pytest.fixture
def doubts(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """What came into doubt, in this order."""
    names: list[str | None] = []
    original = text_staging.TextStaging.doubt

    def doubt(table: text_staging.TextStaging, connection: copying.Connection, name: str | None) -> bool:
        names.append(name)
        return original(table, connection, name)

    monkeypatch.setattr(text_staging.TextStaging, "doubt", doubt)
    return names


def good(n: int) -> list[str]:
    return [str(n), f"2026-01-{n % 28 + 1:02}", f"{n}.50", f"c{n % 100}", f'"é{n}\n"']


WRONG = {"day": (1, "2026-02-30"), "amount": (2, "99999.99"), "code": (3, "toolong"), "id": (0, "x")}


def test_each_record_is_accounted_for(stock: Desk, doubts: list[str | None]) -> None:
    dice = random.Random(1)
    wrong = {number: column for first, column in enumerate(WRONG) for number in dice.sample(range(first * 600, RECORDS), 40)}
    records = [good(n) for n in range(RECORDS)]
    for number, column in wrong.items():
        field, text = WRONG[column]
        records[number][field] = text
    settlement = stock.send(KEY.format("a"), "id,day,amount,code,note\n" + "".join(",".join(each) + "\n" for each in records))
    assert settlement.status == "loaded", settlement.error
    # Each has two lines.
    aside = stock.rows("SELECT (line_number - 2) / 2, column_name, error, raw_text FROM hikyaku.rejected_rows ORDER BY line_number")
    said = "is not a value of the column's type"
    assert aside == [(number, wrong[number], said, ",".join(records[number])) for number in sorted(wrong)]
    left = [n for n in range(RECORDS) if n not in wrong]
    expected = [(n, date(2026, 1, n % 28 + 1), Decimal(f"{n}.50"), f"c{n % 100}", f"é{n}\n") for n in left]
    assert stock.rows("SELECT * FROM stock ORDER BY id") == expected
    assert doubts == list(WRONG)


def test_the_last_record_may_be_the_first_that_is_wrong(stock: Desk, doubts: list[str | None]) -> None:
    stock.table("stock (id int PRIMARY KEY, day date)")
    content = "id,day\n" + "".join(f"{n},2026-01-01\n" for n in range(RECORDS)) + f"{RECORDS},2026-13-01"
    assert stock.send(KEY.format("a"), content).status == "loaded"
    assert stock.rows("SELECT line_number, column_name FROM hikyaku.rejected_rows") == [(RECORDS + 2, "day")]
    assert stock.rows("SELECT count(*) FROM stock") == [(RECORDS,)]
    assert doubts == ["day"]


SHAPES = """
SELECT attname, format_type(atttypid, atttypmod), attcollation FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND attname NOT IN ('ctid', 'hikyaku_line') ORDER BY attnum
"""


@pytest.mark.parametrize("name", [None, "code"])
def test_what_is_in_doubt_is_shown_as_the_table_has_it(stock: Desk, name: str | None) -> None:
    """Not least with its collation: it decides which keys are one."""
    stock.sql.execute("DROP DOMAIN IF EXISTS must CASCADE")
    stock.sql.execute('CREATE DOMAIN must AS varchar(9) COLLATE "POSIX" NOT NULL')
    stock.table(
        'stock (code varchar(4) COLLATE "POSIX", marks bit(3)[], day date, must must, at timestamptz(3), note text COLLATE "POSIX")'
    )
    with stock.sql.transaction():
        target = relation.look_up(stock.sql, Dataset(name="stock", table="stock"))
        names = tuple(column.name for column in target.columns)
        layout = Layout(tuple(Field(column.name, column.name, column) for column in target.columns))
        staging = text_staging.TextStaging(target, layout)
        staging.create(stock.sql)
        assert staging.doubt(stock.sql, name)
        assert staging.take_out(stock.sql, 1, 10) == []
        shown = stock.sql.execute(SHAPES, (f"pg_temp.{staging.name}",)).fetchall()
        assert shown == stock.sql.execute(SHAPES, ("stock",)).fetchall()
        assert tuple(row[0] for row in shown) == names


def test_a_file_that_is_right_is_read_once(stock: Desk, doubts: list[str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    original = source.Source.chunks
    monkeypatch.setattr(source.Source, "chunks", lambda each: opened.append(each) or original(each))
    records = "".join(",".join(good(n)) + "\n" for n in range(RECORDS))
    assert stock.send(KEY.format("a"), "id,day,amount,code,note\n" + records).status == "loaded"
    assert (len(opened), doubts) == (1, [])
