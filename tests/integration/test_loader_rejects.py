"""Files that never will load: each gets its code, leaves nothing in the table, and no row data in the ledger."""

import gzip
import logging
from typing import NamedTuple

import pytest

from integration.loader_fixture import Desk
from shared.contract import Problem, Verdict
from shared.errors import ErrorCode

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

CANARY = "4929-MARKER"
"""Stands in every bad file; must never be repeated."""
KEY = "incoming/{}/a.csv.gz.age"


class Bad(NamedTuple):
    content: bytes
    code: str
    said: str
    options: str = ""


TABLE = """goods (
    id int PRIMARY KEY, name varchar(20) NOT NULL, price numeric(6, 2) CHECK (price > 0), day date, code text UNIQUE,
    owner int REFERENCES people DEFERRABLE INITIALLY DEFERRED,
    made int GENERATED ALWAYS AS (1) STORED, auto int GENERATED ALWAYS AS IDENTITY
)"""
HEAD = "id,name,price,day,code,owner\n"


def text(*lines: str, head: str = HEAD) -> bytes:
    return (head + "".join(line + "\n" for line in lines)).encode()


GOOD = f"1,{CANARY},1,2026-01-01,{CANARY},1"
BAD = {
    "too few fields": Bad(text(GOOD, f"2,{CANARY}"), "csv_malformed", "line 3"),
    "too many fields": Bad(text(GOOD, GOOD.replace("1", "2", 1) + f",{CANARY}"), "csv_malformed", "line 3"),
    "a quote without end": Bad(text(GOOD, f'2,"{CANARY}'), "csv_malformed", "a quote that is not closed"),
    "nothing at all": Bad(b"", "csv_malformed", "no header"),
    "a header without end": Bad(b'id,"' + CANARY.encode() * 200_000, "csv_malformed", "does not end"),
    "not utf-8": Bad(text(GOOD) + f"2,{CANARY}ソ表,1,,a,1\n".encode("cp932"), "encoding_invalid", "line 3"),
    "header not utf-8": Bad("id,名前\n".encode("cp932"), "encoding_invalid", "header"),
    "text for a number": Bad(text(GOOD, f"{CANARY},x,1,,,1"), "value_invalid", "line 3, column id (integer)"),
    "too long": Bad(text(f"1,{CANARY * 5},1,,,1"), "value_invalid", "line 2, column name (character varying(20)) is too long"),
    "too large": Bad(text(f"1,{CANARY},99999999,,,1"), "value_invalid", "line 2, column price (numeric(6,2)) is out of the range"),
    "no such day": Bad(text(f"1,{CANARY},1,2026-02-30,,1"), "value_invalid", "line 2, column day (date)"),
    "no value where one is required": Bad(text(f"1,,1,,{CANARY},1"), "constraint_violated", "line 2, column name"),
    "no key": Bad(text(f",{CANARY},1,,,1"), "constraint_violated", "line 2, column id (integer) has no value"),
    "breaks a check": Bad(text(f"1,{CANARY},-1,,,1"), "constraint_violated", "goods_price_check"),
    "breaks another unique key": Bad(text(GOOD, f"2,{CANARY},1,,{CANARY},1"), "constraint_violated", "goods_code_key"),
    "refers to nobody, deferred": Bad(text(f"1,{CANARY},1,,,77"), "constraint_violated", "goods_owner_fkey"),
    "the same key twice": Bad(text(GOOD, f"3,{CANARY},1,,a,1", f"1,{CANARY},1,,b,1"), "duplicate_keys", "the first in line 4"),
    "unknown columns": Bad(text(head="id,name,nom,price,day,code,owner,prix\n"), "columns_mismatch", "no column nom, prix"),
    "missing columns": Bad(text(head="id,price,day,owner\n"), "columns_mismatch", "lacks name, code"),
    "a column twice": Bad(text(head="id,name,name,price,day,code,owner\n"), "columns_mismatch", "name more than once"),
    "a generated column": Bad(text(head=HEAD[:-1] + ",made\n"), "columns_mismatch", "makes the values of made itself"),
    "an identity column": Bad(text(head=HEAD[:-1] + ",auto\n"), "columns_mismatch", "makes the values of auto itself"),
    "no header but data": Bad(text(GOOD, head=""), "columns_mismatch", "has the file a header?"),
    "no header, but a cell like a column's name": Bad(text(f"id,{CANARY}\n", head=""), "columns_mismatch", "has the file a header?"),
    "above the dataset's limit": Bad(text(GOOD), "too_large", "40 bytes", "max_bytes = 40"),
    "a record above the dataset's limit": Bad(
        text(GOOD, f"2,{CANARY * 9},1,,,1"), "too_large", "line 3: a record", f"max_record_bytes = {len(GOOD)}"
    ),
    "unknown columns of datasets.toml": Bad(text(head=""), "columns_mismatch", "no column nom", 'header = "none"\ncolumns = ["nom"]'),
    "an unusable key": Bad(text(GOOD), "dataset_invalid", "no unique index on (name, day)", 'key = ["name", "day"]'),
    "a table that is not there": Bad(text(GOOD), "table_unknown", "no table public.nowhere", 'table = "nowhere"'),
    "a view": Bad(text(GOOD), "table_unknown", "is a view", 'table = "goods_view"'),
    "the ledger": Bad(text(GOOD), "dataset_invalid", "not for loading", 'table = "hikyaku.files"'),
    "the catalog": Bad(text(GOOD), "dataset_invalid", "not for loading", 'table = "pg_catalog.pg_class"'),
    "no GRANT": Bad(text(head="id\n"), "dataset_invalid", "GRANT SELECT, INSERT, UPDATE ON public.secret", 'table = "secret"'),
    "no primary key": Bad(text(head="n\n"), "dataset_invalid", "no primary key", 'table = "heap"'),
}


@pytest.fixture
def goods(desk: Desk) -> Desk:
    desk.table("people (id int PRIMARY KEY)")
    desk.sql.execute("INSERT INTO people VALUES (1)")
    desk.table(TABLE)
    desk.sql.execute("CREATE VIEW goods_view AS SELECT * FROM goods")
    desk.table("secret (id int PRIMARY KEY)")
    desk.sql.execute("REVOKE ALL ON secret FROM hikyaku_loader")
    desk.table("heap (n int)")
    return desk


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_rejected_with_its_reason(goods: Desk, bad: Bad, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    goods.configure(f"[datasets.goods]\n{bad.options}\n")
    settlement = goods.send(KEY.format("goods"), bad.content)
    assert (settlement.verdict, settlement.status, settlement.error_code) == (Verdict.REJECTED, "rejected", bad.code), settlement.error
    row = goods.ledger(settlement)
    assert (row["error_code"], row["error"], row["rows_loaded"]) == (bad.code, settlement.error, None)
    assert bad.said in (settlement.error or "")
    assert CANARY not in str(row)
    assert CANARY not in caplog.text
    assert goods.rows("SELECT count(*) FROM goods") == [(0,)]
    assert goods.spool_is_empty()


PACKED = gzip.compress(text(GOOD))


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        PACKED[:-9],
        PACKED[:5],
        PACKED + b"trailing garbage",
        PACKED[:-8] + b"\0" * 8,
        PACKED[:20] + b"\xff\xff" + PACKED[22:],
        text(GOOD),
    ],
    ids=["empty", "cut", "cut in its head", "garbage behind", "wrong checksum", "damaged", "no gzip"],
)
def test_what_is_not_wholly_gzip_is_rejected(goods: Desk, packed: bytes) -> None:
    settlement = goods.send(KEY.format("goods"), packed, packed=True)
    assert settlement.error_code == "gzip_invalid"
    assert goods.rows("SELECT count(*) FROM goods") == [(0,)]


def test_a_bomb_is_rejected_before_it_fills_anything(goods: Desk) -> None:
    bomb = gzip.compress(text(GOOD) + b"\n" * 40_000_000, 6)
    settlement = goods.send(KEY.format("goods"), bomb, packed=True)
    assert settlement.error_code == "too_large"


def test_the_decryptors_rejection_reaches_the_ledger(goods: Desk) -> None:
    file = goods.file(KEY.format("goods"))
    problem = Problem(error_code=ErrorCode.CIPHERTEXT_CORRUPT, message="chunk 3 is not authentic", retry=False)
    settlement = goods.loader.settle(goods.decrypted(file, None, problem=problem))
    assert (settlement.verdict, settlement.error_code) == (Verdict.REJECTED, "ciphertext_corrupt")
    assert goods.ledger(settlement)["error"] == "chunk 3 is not authentic"


def test_a_key_without_dataset_is_rejected_and_in_the_ledger(goods: Desk) -> None:
    settlement = goods.send("incoming/a.csv.gz.age", b"x")
    assert settlement.error_code == "dataset_invalid"
    assert goods.ledger(settlement)["dataset"] is None


def test_a_mended_host_lets_a_redriven_file_load(goods: Desk) -> None:
    goods.configure('[datasets.goods]\ntable = "nowhere"\n')
    file, content = goods.file(KEY.format("goods")), text(GOOD)
    assert goods.loader.settle(goods.decrypted(file, content)).status == "rejected"
    goods.configure("")
    settlement = goods.loader.settle(goods.decrypted(file, content))
    row = goods.ledger(settlement)
    assert (row["status"], row["attempts"], row["error_code"], row["error"]) == ("loaded", 2, None, None)


def test_a_corrected_version_loads_after_a_rejected_one(goods: Desk) -> None:
    assert goods.send(KEY.format("goods"), text(f"x,{CANARY},1,,,1")).status == "rejected"
    assert goods.send(KEY.format("goods"), text(GOOD)).status == "loaded"


def test_a_dry_run_of_a_bad_file_is_rejected(goods: Desk) -> None:
    assert goods.send("incoming/test/goods/a.csv.gz.age", text("x,y,1,,,1")).error_code == "value_invalid"


def test_a_trigger_may_refuse(goods: Desk) -> None:
    goods.sql.execute("CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not %', NEW.name; END $$")
    goods.sql.execute("CREATE TRIGGER refuse BEFORE INSERT ON goods FOR EACH ROW EXECUTE FUNCTION refuse()")
    settlement = goods.send(KEY.format("goods"), text(GOOD))
    assert settlement.error_code == "constraint_violated"
    assert CANARY not in (settlement.error or "")


MARKER = [b"n,v\n1,a\n\\.\n3,c\n", b"n,v\r\n1,a\r\n\\.\r\n", b"n,v\n\\.\n3,c\n", b"n,v\n1,a\n\\."]


@pytest.mark.parametrize("content", MARKER)
def test_an_end_marker_never_cuts_a_file_short(desk: Desk, old_desk: Desk, content: bytes) -> None:
    for where in (desk, old_desk):
        where.table("marked (n text PRIMARY KEY, v text)")
        settlement = where.send(KEY.format("marked"), content)
        assert settlement.error_code == "csv_malformed", where
        assert where.rows("SELECT count(*) FROM marked") == [(0,)]


def test_an_end_marker_is_a_value_from_postgresql_18_on(desk: Desk, old_desk: Desk) -> None:
    outcomes = []
    for where in (desk, old_desk):
        where.table("single (v text PRIMARY KEY)")
        outcomes.append((where.send(KEY.format("single"), b"v\na\n\\.\nb\n").status, where.rows("SELECT v FROM single ORDER BY v")))
    assert outcomes == [("loaded", [("\\.",), ("a",), ("b",)]), ("rejected", [])]


def test_a_value_that_only_holds_the_marker_loads_everywhere(old_desk: Desk) -> None:
    old_desk.table("single (v text PRIMARY KEY)")
    assert old_desk.send(KEY.format("single"), b'v\na\\.\n\\.b\n"\\."\n').status == "loaded"
    assert old_desk.rows("SELECT count(*) FROM single") == [(3,)]
