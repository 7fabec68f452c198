"""Files that load, and what the table and the ledger then say."""

import csv
import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from integration.loader_fixture import Desk
from loader import staging_table
from shared.contract import Verdict

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

ROOT = Path(__file__).parents[2]
OFFICES = (
    *("jis_code", "name_kana", "name", "prefecture", "city", "town", "street"),
    *("zip_code", "old_zip_code", "post_office", "kind", "sequence", "change"),
)


def key(dataset: str, name: str = "a") -> str:
    return f"incoming/{dataset}/{name}.csv.gz.age"


@pytest.fixture
def orders(desk: Desk) -> Desk:
    desk.table("orders (id int PRIMARY KEY, item text, price numeric(10, 2), noted timestamptz DEFAULT now())")
    return desk


def test_by_convention_the_header_names_the_columns_in_any_order(orders: Desk) -> None:
    content = "price,item,id\n1.50,apple,1\n2.25,pear,2\n"
    settlement = orders.send(key("orders"), content)
    assert (settlement.verdict, settlement.status) == (Verdict.DONE, "loaded")
    assert orders.rows("SELECT id, item, price::text FROM orders ORDER BY id") == [(1, "apple", "1.50"), (2, "pear", "2.25")]
    row = orders.ledger(settlement)
    assert (row["dataset"], row["target"], row["mode"]) == ("orders", "public.orders", "upsert")
    assert (row["rows_in_file"], row["rows_loaded"], row["rows_changed"]) == (2, 2, 2)
    assert row["content_sha256"] == hashlib.sha256(content.encode()).hexdigest()
    assert (row["sha256"], row["signer"], row["recipient_identity"], row["attempts"]) == ("ab" * 32, "acme", "2026", 1)
    assert row["loaded_at"] >= row["event_time"]
    assert orders.spool_is_empty()


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfid,item,price\n1,caf\xc3\xa9,1\n",
        b"id,item,price\r\n1,caf\xc3\xa9,1\r\n",
        b"id,item,price\r1,caf\xc3\xa9,1\r",
        b"id,item,price\n1,caf\xc3\xa9,1",
        b'"id","item", price \n1,"caf\xc3\xa9",1\n',
        b"id,item,price\r\n1,caf\xc3\xa9,1\n",
    ],
    ids=["bom", "crlf", "cr", "no final newline", "quoted names", "header ends otherwise than the rows"],
)
def test_byte_order_marks_and_line_ends_are_no_part_of_the_data(orders: Desk, content: bytes) -> None:
    settlement = orders.send(key("orders", hashlib.sha256(content).hexdigest()), content)
    assert settlement.status == "loaded", settlement.error
    assert orders.rows("SELECT id, item FROM orders") == [(1, "café")]


def test_a_header_may_hold_quoted_line_breaks(desk: Desk) -> None:
    desk.table('broken (id int PRIMARY KEY, "first\nsecond" text, n int)')
    settlement = desk.send(key("broken"), 'id,"first\nsecond",n\n1,"a\nb, ""c""",2\n')
    assert settlement.status == "loaded", settlement.error
    assert desk.rows("SELECT * FROM broken") == [(1, 'a\nb, "c"', 2)]
    rejected = desk.send(key("broken", "b"), 'id,"first\nsecond",n\n1,x,2\n2,"a\nb",2\n3,x,WRONG\n')
    assert rejected.error is not None
    assert rejected.error.startswith("line 6, column n (integer)")


def test_many_members_of_gzip_are_one_file(orders: Desk) -> None:
    packed = b"".join(gzip.compress(part) for part in (b"id,it", b"", b"em,price\n1,multi", b"part,2\n2,x,3\n"))
    assert orders.send(key("orders", "parts"), packed, packed=True).status == "loaded"
    assert orders.rows("SELECT item FROM orders ORDER BY id") == [("multipart",), ("x",)]


def test_a_header_that_comes_in_many_pieces(desk: Desk) -> None:
    names = [f"column_{n:04d}" for n in range(1200)]
    desk.table(f"wide ({', '.join(name + ' int' for name in names)}, PRIMARY KEY (column_0000))")
    padded = ",".join(f'"{name}"' for name in reversed(names))
    settlement = desk.send(key("wide"), f"{padded}\n{','.join(map(str, range(1200)))}\n")
    assert settlement.status == "loaded", settlement.error
    assert desk.rows("SELECT column_0000, column_1199 FROM wide") == [(1199, 0)]


def test_cp932_without_header(desk: Desk) -> None:
    desk.table("stations (code text PRIMARY KEY, name text, kana text)")
    desk.configure('[datasets.stations]\nencoding = "cp932"\nheader = false\ncolumns = ["code", "kana", "name"]\n')
    assert desk.send(key("stations"), "01,ソ表能,髙﨑①～\r\n".encode("cp932")).status == "loaded"
    assert desk.rows("SELECT * FROM stations") == [("01", "髙﨑①～", "ソ表能")]


def test_other_delimiters_quotes_and_nulls(desk: Desk) -> None:
    desk.table("marks (id int PRIMARY KEY, a text, b text)")
    desk.configure('[datasets.marks]\ndelimiter = "\\t"\nquote = "\'"\nnull = "NULL"\n')
    assert desk.send(key("marks"), "id\ta\tb\n1\tNULL\t'NULL'\n2\t\t'it''s'\n").status == "loaded"
    assert desk.rows("SELECT * FROM marks ORDER BY id") == [(1, None, "NULL"), (2, "", "it's")]


def test_a_key_may_be_matched_by_glob_and_lead_to_another_schema(desk: Desk) -> None:
    desk.sql.execute("CREATE SCHEMA IF NOT EXISTS sales; GRANT USAGE ON SCHEMA sales TO hikyaku_loader")
    desk.table("sales.daily (id int PRIMARY KEY)")
    desk.sql.execute("GRANT ALL ON sales.daily TO hikyaku_loader")
    desk.configure('[datasets.daily]\nmatch = "incoming/shop-*/daily-*"\ntable = "sales.daily"\n')
    settlement = desk.send(key("shop-7", "daily-1"), "id\n1\n")
    assert desk.ledger(settlement)["dataset"] == "daily"
    assert desk.rows("SELECT * FROM sales.daily") == [(1,)]
    assert desk.send("incoming/test/shop-7/daily-2.csv.gz.age", "id\n2\n").status == "tested"


def test_an_upsert_touches_only_rows_that_differ(orders: Desk) -> None:
    orders.send(key("orders", "u1"), "id,item,price\n1,a,1\n2,b,2\n3,c,\n")
    before = dict(orders.rows("SELECT id, ctid::text FROM orders"))
    settlement = orders.send(key("orders", "u2"), "id,item,price\n1,a,1\n2,B,2\n3,c,\n4,d,4\n")
    after = dict(orders.rows("SELECT id, ctid::text FROM orders"))
    row = orders.ledger(settlement)
    assert (row["rows_loaded"], row["rows_changed"]) == (4, 2)
    assert (after[1], after[3]) == (before[1], before[3])
    assert orders.rows("SELECT item FROM orders ORDER BY id") == [("a",), ("B",), ("c",), ("d",)]


def test_types_without_equality_and_tables_that_are_all_key(desk: Desk) -> None:
    desk.table("shapes (id int PRIMARY KEY, j json, p point, n int[])")
    content = 'id,j,p,n\n1,"{""a"": 1}","(1,2)","{1,2}"\n'
    desk.send(key("shapes"), content)
    settlement = desk.send(key("shapes", "b"), content + "2,{},,\n")
    assert desk.ledger(settlement)["rows_changed"] == 1
    desk.table("pairs (a int, b text, PRIMARY KEY (b, a))")
    assert desk.send(key("pairs"), "a,b\n1,x\n2,y\n").status == "loaded"
    assert desk.ledger(desk.send(key("pairs", "b"), "a,b\n2,y\n3,z\n"))["rows_changed"] == 1


def test_defaults_identities_and_generated_columns_fill_themselves(desk: Desk) -> None:
    desk.table(
        "made (id int GENERATED ALWAYS AS IDENTITY, code text PRIMARY KEY, n int,"
        " twice int GENERATED ALWAYS AS (n * 2) STORED, d int DEFAULT 7)"
    )
    assert desk.send(key("made"), "n,code\n4,x\n").status == "loaded"
    assert desk.rows("SELECT id, twice, d FROM made") == [(1, 8, 7)]


def test_append_keeps_and_replace_drops(desk: Desk) -> None:
    desk.table("log_lines (n int)")
    desk.table("snapshot (n int)")
    desk.configure('[datasets.log_lines]\nmode = "append"\n[datasets.snapshot]\nmode = "replace"\n')
    for content in ("n\n1\n2\n", "n\n2\n3\n"):
        desk.send(key("log_lines", content[2]), content)
        desk.send(key("snapshot", content[2]), content)
    assert desk.rows("SELECT n FROM log_lines ORDER BY n") == [(1,), (2,), (2,), (3,)]
    assert desk.rows("SELECT n FROM snapshot ORDER BY n") == [(2,), (3,)]


def test_a_partitioned_table_with_a_chosen_key(desk: Desk) -> None:
    desk.table("parts (id int, day date, v text, UNIQUE (day, id)) PARTITION BY RANGE (day)")
    desk.sql.execute("CREATE TABLE parts_all PARTITION OF parts DEFAULT")
    desk.configure('[datasets.parts]\nkey = ["id", "day"]\n')
    desk.send(key("parts"), "id,day,v\n1,2026-01-01,a\n")
    assert desk.send(key("parts", "b"), "id,day,v\n1,2026-01-01,b\n").status == "loaded"
    assert desk.rows("SELECT v FROM parts") == [("b",)]


def test_of_duplicate_keys_the_last_wins_where_told(desk: Desk) -> None:
    desk.table("latest (id int PRIMARY KEY, v text)")
    desk.configure('[datasets.latest]\non_duplicate_key = "last"\n')
    settlement = desk.send(key("latest"), "id,v\n" + "".join(f"{n % 7},{n}\n" for n in range(7000)))
    row = desk.ledger(settlement)
    assert (row["rows_in_file"], row["rows_loaded"]) == (7000, 7)
    assert desk.rows("SELECT id, v FROM latest ORDER BY id") == [(n, str(6993 + n)) for n in range(7)]


def test_the_watermark_moves_forward_only(orders: Desk) -> None:
    for day, name in (("02", "w2"), ("01", "w1"), ("03", "w3")):
        orders.send(key("orders", name), f"id,item,price\n{day},{name},1\n", event_time=f"2027-01-{day}T09:00:00+09:00")
        mark = orders.rows("SELECT value, file FROM hikyaku.watermarks WHERE dataset = 'orders'")
        expected = ("02", "w2") if day != "03" else ("03", "w3")
        assert mark == [(f"2027-01-{expected[0]}T00:00:00.000Z", key("orders", expected[1]))]


def test_a_dry_run_changes_nothing_and_says_what_it_would_load(orders: Desk) -> None:
    orders.sql.execute("DELETE FROM orders")
    settlement = orders.send("incoming/test/orders/dry.csv.gz.age", "id,item,price\n900,dry,1\n901,dry,2\n")
    assert (settlement.verdict, settlement.status) == (Verdict.DONE, "tested")
    row = orders.ledger(settlement)
    assert (row["rows_loaded"], row["dry_run"], row["loaded_at"]) == (2, True, None)
    assert orders.rows("SELECT count(*) FROM orders") == [(0,)]
    assert orders.send(key("orders", "wet"), "id,item,price\n900,dry,1\n901,dry,2\n").status == "loaded"


def test_a_changed_datasets_toml_holds_from_the_next_file_on(desk: Desk) -> None:
    desk.table("shift (id int PRIMARY KEY)")
    desk.configure('[datasets.moving]\ntable = "shift"\n')
    assert desk.send(key("moving"), "id\n1\n").status == "loaded"
    desk.configure("[datasets.moving]\ntable = broken\n")
    assert desk.send(key("moving", "b"), "id\n2\n").status == "loaded"
    desk.configure('[datasets.moving]\ntable = "nowhere"\n')
    assert desk.send(key("moving", "c"), "id\n3\n").error_code == "table_unknown"


def test_a_table_that_is_altered_between_two_files(desk: Desk) -> None:
    desk.table("moody (id int PRIMARY KEY, v varchar(3) NOT NULL)")
    assert desk.send(key("moody"), "id,v\n1,abc\n").status == "loaded"
    assert desk.send(key("moody", "b"), "id,v\n2,abcd\n").error_code == "value_invalid"
    desk.sql.execute("ALTER TABLE moody ALTER v TYPE text, ALTER v DROP NOT NULL")
    assert desk.send(key("moody", "c"), "id,v\n2,abcd\n3,\n").status == "loaded"
    desk.table("moody (id bigint PRIMARY KEY, v text)")
    assert desk.send(key("moody", "d"), "v,id\nx,9999999999\n").status == "loaded"


def test_more_datasets_than_a_session_keeps_staging_tables_for(desk: Desk) -> None:
    for number in range(staging_table.KEPT_AT_MOST + 4):
        desk.table(f"many_{number} (id int PRIMARY KEY)")
        for name in "ab":
            assert desk.send(key(f"many_{number}", name), f"id\n1\n{ord(name)}\n").status == "loaded"
        assert desk.rows(f"SELECT count(*) FROM many_{number}") == [(3,)]


def test_types_of_the_users_own_can_be_altered_while_a_loader_is_connected(desk: Desk) -> None:
    desk.sql.execute("DROP DOMAIN IF EXISTS positive CASCADE; CREATE DOMAIN positive AS int CHECK (value > 0)")
    desk.table("domains (id positive PRIMARY KEY)")
    assert desk.send(key("domains"), "id\n1\n").status == "loaded"
    assert desk.send(key("domains", "b"), "id\n-1\n").error_code == "constraint_violated"
    desk.sql.execute("ALTER DOMAIN positive ADD CHECK (value < 10)")
    assert desk.send(key("domains", "c"), "id\n11\n").error_code == "constraint_violated"


def test_people_see_the_history(orders: Desk) -> None:
    settlement = orders.send(key("orders", "seen"), "id,item,price\n77,seen,1\n", event_time="2026-01-01T00:00:00Z")
    with orders.database.connect("hikyaku_operator") as operator:
        query = "SELECT status, rows_loaded, seconds > 0 FROM hikyaku.file_history WHERE file_id = %s"
        assert operator.execute(query, (settlement.file_id,)).fetchall() == [("loaded", 1, True)]


def _japanpost(name: str) -> bytes:
    folders = (ROOT / "demo" / "data", ROOT.parent / "shared" / "data" / "japanpost")
    archive = next(folder / name for folder in folders if (folder / name).exists())
    with zipfile.ZipFile(archive) as opened:
        return opened.read(opened.namelist()[0])


def _expected(contents: list[bytes]) -> dict[str, str]:
    # Independent of COPY: Python's own csv over the same bytes.
    table: dict[str, str] = {}
    for content in contents:
        for record in csv.reader(io.StringIO(content.decode("cp932"), newline="")):
            table[record[7]] = record[2]
    return table


def test_two_months_of_office_codes(desk: Desk) -> None:
    columns = ", ".join(f"{name} text{' PRIMARY KEY' if name == 'zip_code' else ''}" for name in OFFICES)
    desk.table(f"offices ({columns})")
    quoted = ", ".join(f'"{name}"' for name in OFFICES)
    desk.configure(f'[datasets.offices]\nencoding = "cp932"\nheader = "none"\non_duplicate_key = "last"\ncolumns = [{quoted}]\n')
    months = [_japanpost(f"jigyosyo-{month}.zip") for month in ("2026-03-01", "2026-04-03")]
    settlements = [desk.send(key("offices", f"{n}"), month) for n, month in enumerate(months)]
    assert [settlement.status for settlement in settlements] == ["loaded", "loaded"]
    assert desk.ledger(settlements[1])["rows_in_file"] == months[1].count(b"\n")
    assert dict(desk.rows("SELECT zip_code, name FROM offices")) == _expected(months)
