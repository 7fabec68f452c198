"""Wrong records are put aside, exactly those, with their lines; on PostgreSQL 16 and 18 alike."""

import re
from datetime import date

import pytest

from integration.loader_fixture import Desk
from shared.contract import Settlement

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

KEY = "incoming/items/a.csv.gz.age"
ITEMS = "items (id int PRIMARY KEY, x varchar(5) NOT NULL, n int CHECK (n > 0), p int REFERENCES items)"
TOLERANT = "max_rejected_rows = 3\non_missing_column = 'default'"


@pytest.fixture(params=["desk", "old_desk"])
def goods(request: pytest.FixtureRequest) -> Desk:
    desk: Desk = request.getfixturevalue(request.param)
    desk.table(ITEMS)
    return desk


def send(desk: Desk, content: str | bytes, options: str = TOLERANT) -> Settlement:
    desk.configure(f"[datasets.items]\n{options}\n")
    return desk.send(KEY, content)


def aside(desk: Desk) -> list[tuple[object, ...]]:
    return desk.rows("SELECT line_number, column_name, error_code, raw_text FROM hikyaku.rejected_rows ORDER BY line_number")


def ids(desk: Desk) -> list[int]:
    return [row[0] for row in desk.rows("SELECT id FROM items ORDER BY id")]


def line_of(content: str, record: str) -> int:
    """The physical line where a record begins."""
    return len(re.findall("\r\n|\r|\n", content[: content.index(record)])) + 1


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("inner", ["\n", "\r", "\r\n"])
def test_lines_are_those_of_the_file_whatever_ends_them(goods: Desk, end: str, inner: str) -> None:
    """COPY counts line breaks within quotes in a way of its own, and those of the first record otherwise than the rest."""
    wrong = ["2,toolong", f'4,"cc{inner}cc{inner}cc"', "6,\x01nofit"]
    content = end.join(["id,x", f'1,"a{inner}b"', wrong[0], f'3,"a{inner}b"', wrong[1], "5,d", wrong[2], f'7,"x{inner}y"'])
    settlement = send(goods, content)
    assert settlement.status == "loaded", settlement.error
    assert ids(goods) == [1, 3, 5, 7]
    assert aside(goods) == [(line_of(content, record), "x", "value_invalid", record) for record in wrong]


def test_a_strict_dataset_names_the_same_lines(goods: Desk) -> None:
    settlement = send(goods, 'id,x\r\n1,"a\nb"\r\n2,"a\nb"\r\n3,toolong\r\n', "on_missing_column = 'default'")
    assert (settlement.error or "").startswith("line 6, column x"), settlement.error


def test_each_kind_of_wrong_record(goods: Desk) -> None:
    rows = ["1,a,1,", "2,,1,", "3,a,0,", "4,a,1,99", "5,a,1", "6,a,x,", "7,a,1,1", ",a,1,", "8,a,1,,"]
    settlement = send(goods, "\n".join(["id,x,n,p", *rows]), "max_rejected_rows = 0.9")
    assert settlement.status == "loaded", settlement.error
    assert ids(goods) == [1, 7]
    assert [(line, column, code) for line, column, code, _ in aside(goods)] == [
        (3, "x", "constraint_violated"),
        (4, None, "constraint_violated"),
        (5, None, "constraint_violated"),
        (6, None, "csv_malformed"),
        (7, "n", "value_invalid"),
        (9, "id", "constraint_violated"),
        (10, None, "csv_malformed"),
    ]
    counts = goods.ledger(settlement)
    assert [counts[f"rows_{what}"] for what in ("in_file", "inserted", "updated", "unchanged", "rejected", "loaded")] == [9, 2, 0, 0, 7, 2]


def test_records_without_a_key_are_no_duplicates_of_one_another(goods: Desk) -> None:
    assert send(goods, "id,x\n1,a\n,b\n,c\n").status == "loaded"
    assert [(line, column) for line, column, *_ in aside(goods)] == [(3, "id"), (4, "id")]


def test_one_too_many_rejects_the_file_and_names_the_first(goods: Desk) -> None:
    settlement = send(goods, "id,x\n1,a\n" + "".join(f"{n},toolong\n" for n in range(2, 6)))
    assert settlement.error_code == "too_many_rejected_rows"
    assert "4 of 5 records are wrong, max_rejected_rows tolerates 3: line 3, column x" in (settlement.error or "")
    assert (ids(goods), aside(goods)) == ([], [])


def test_a_last_record_of_two_lines_without_an_end(goods: Desk) -> None:
    assert send(goods, 'id,x\n1,toolong\n2,"ab\ncd"').status == "loaded"
    assert (ids(goods), [line for line, *_ in aside(goods)]) == ([2], [2])


def test_bytes_that_are_no_text_are_put_aside_as_bytes(goods: Desk) -> None:
    content = "id,x\n1,あ\n".encode("cp932") + b"2,\x81\n3,\xa0\n4,ok\n"
    assert send(goods, content, TOLERANT + "\nencoding = 'cp932'").status == "loaded"
    assert aside(goods) == [(3, None, "encoding_invalid", "2,\\x81"), (4, None, "encoding_invalid", "3,\uf8f0")]


def test_a_domain_that_wants_a_value(goods: Desk) -> None:
    goods.sql.execute("DROP DOMAIN IF EXISTS must CASCADE")
    goods.sql.execute("CREATE DOMAIN must AS int NOT NULL")
    goods.table("items (id int PRIMARY KEY, d must)")
    assert send(goods, "id,d\n1,1\n2,\n3,x\n4,4\n").status == "loaded"
    assert (ids(goods), [(line, column) for line, column, *_ in aside(goods)]) == ([1, 4], [(3, "d"), (4, "d")])


def test_a_type_of_the_users_own_that_lacks_a_value(goods: Desk) -> None:
    goods.sql.execute("DROP TYPE IF EXISTS mood CASCADE")
    goods.sql.execute("CREATE TYPE mood AS ENUM ('sad', 'well')")
    goods.table("items (id int PRIMARY KEY, m mood NOT NULL)")
    assert send(goods, "id,m\n1,sad\n2,-\n3\n", TOLERANT + "\nnull = ['', '-']").status == "loaded"
    assert aside(goods) == [(3, "m", "constraint_violated", "2,-"), (4, None, "csv_malformed", "3")]


def test_texts_that_mean_null_in_any_order(goods: Desk) -> None:
    assert send(goods, 'id,x,n,p\n1,"-",-,NULL\n2,NU,,\n', "null = ['NULL', '-', '']").status == "loaded"
    assert goods.rows("SELECT * FROM items ORDER BY id") == [(1, "-", None, None), (2, "NU", None, None)]


def test_a_last_record_that_is_nothing_but_null(goods: Desk) -> None:
    goods.table("items (x text)")
    assert send(goods, "x\na\nNULL", "mode = 'append'\nnull = ['', 'NULL']").status == "loaded"
    assert goods.rows("SELECT x FROM items") == [("a",), (None,)]


def test_the_first_wrong_record_is_named_whoever_finds_it(goods: Desk) -> None:
    goods.table("items (id int PRIMARY KEY, at bigint)")
    settlement = send(goods, "id\n1\n2,3\nx\n", "line_column = 'at'")
    assert (settlement.error_code, settlement.error) == ("csv_malformed", "line 3 has 2 fields, not 1")
    settlement = send(goods, "id\n1\nx\n2,3\n", "line_column = 'at'")
    assert (settlement.error_code, (settlement.error or "")[:7]) == ("value_invalid", "line 3,")


def test_a_backslash_within_a_character_escapes_nothing(goods: Desk) -> None:
    content = 'id,x\n1,"ソ"\n2,"a\\"表"\n'.encode("cp932")
    assert send(goods, content, TOLERANT + "\nencoding = 'cp932'\nescape = '\\'").status == "loaded"
    assert goods.rows("SELECT x FROM items ORDER BY id") == [("ソ",), ('a"表',)]


def test_what_marks_a_deletion_is_a_value_of_the_columns_type(goods: Desk) -> None:
    goods.table("items (id int PRIMARY KEY, gone bool)")
    assert send(goods, "id,gone\n1,0\n2,f\n", "").status == "loaded"
    assert send(goods, "id,gone\n1,1\n2,0\n3,yes\n", "delete_when = {gone = '1'}").status == "loaded"
    assert ids(goods) == [2]
    settlement = send(goods, "id,gone\n2,1\n", "delete_when = {gone = 'D'}")
    assert settlement.error_code == "dataset_invalid"
    assert "delete_when" in (settlement.error or "")


def test_a_dry_run_tells_of_all_that_is_wrong_even_to_a_strict_dataset(goods: Desk) -> None:
    goods.configure("")
    settlement = goods.send("incoming/test/items/a.csv.gz.age", "id,x,n,p\n1,toolong,1,\n2,a,0,\n3,,1,\n4,a,1,\n")
    said = settlement.error or ""
    assert settlement.error_code == "value_invalid"
    assert said.startswith("3 records are wrong: line 2, column x")
    assert "line 3 breaks a check" in said
    assert "line 4, column x has no value" in said


def test_a_dry_run_that_would_load_tells_of_what_it_would_put_aside(goods: Desk) -> None:
    goods.configure(f"[datasets.items]\n{TOLERANT}\n")
    settlement = goods.send("incoming/test/items/a.csv.gz.age", "id,x,n,p\n1,toolong,1,\n2,a,0,\n3,a,1,\n")
    row = goods.ledger(settlement)
    assert (row["status"], row["rows_in_file"], row["rows_inserted"], row["rows_rejected"]) == ("tested", 3, 1, 2)
    assert row["error"].startswith("2 records are wrong: line 2, column x (character varying(5)) is not a value")
    assert "line 3 breaks a check" in row["error"]
    assert [line for line, *_ in aside(goods)] == [2, 3]
    assert ids(goods) == []


def test_a_table_with_a_rule_instead_of_inserts_is_refused(goods: Desk) -> None:
    goods.sql.execute("CREATE RULE nothing AS ON INSERT TO items DO INSTEAD NOTHING")
    settlement = send(goods, "id,x\n1,a\n", "mode = 'append'\non_missing_column = 'default'")
    assert settlement.error_code == "dataset_invalid"
    assert "rule" in (settlement.error or "")


def test_columns_of_which_postgresql_says_no_name(goods: Desk) -> None:
    """A quote in a name ends what is read of an error: behind it, there may be data."""
    goods.table('items (id int PRIMARY KEY, "say ""x""" int, d date)')
    assert send(goods, 'id,"say ""x""",d\n1,1,2026-01-01\n2,x,2026-01-01\n3,3,2026-13-01\n4,4,2026-01-04\n').status == "loaded"
    assert [(line, column) for line, column, *_ in aside(goods)] == [(3, 'say "x"'), (4, "d")]
    assert goods.rows("SELECT * FROM items ORDER BY id") == [(1, 1, date(2026, 1, 1)), (4, 4, date(2026, 1, 4))]
