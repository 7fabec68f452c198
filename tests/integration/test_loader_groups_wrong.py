"""Parts that are wrong: alone, together, or by single records; each is told with its file and line."""

from dataclasses import replace

import pytest

from integration.group_fixture import ALL, KEY, THREE, chunks, parts_of, progress, send, statuses, table, told, wrong
from integration.loader_fixture import Desk
from shared.errors import ErrorCode

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture", "integration.group_fixture")


@pytest.mark.parametrize("place", range(3))
def test_a_part_that_the_decryptor_rejects_rejects_the_group(stock: Desk, place: int) -> None:
    parts = parts_of()
    settled = [
        stock.loader.settle(part.item(stock, problem=ErrorCode.CIPHERTEXT_CORRUPT if number == place else None))
        for number, part in enumerate(parts)
    ]
    assert settled[place].error_code == "ciphertext_corrupt"
    assert [each.status for each in settled] == ["staged"] * place + ["rejected"] * (3 - place)
    assert {each.error_code for each in settled[place + 1 :]} <= {"group_rejected"}
    assert statuses(stock) == {"rejected": 3}
    others = stock.rows("SELECT DISTINCT error_code, error FROM hikyaku.files WHERE error_code <> 'ciphertext_corrupt'")
    what = f"part {place + 1} of group big ({KEY.format('big', place + 1, 3)}) was rejected as ciphertext_corrupt: what happened"
    assert others == [("group_rejected", f"{what}; send the whole file again, as another group")]
    assert (table(stock), chunks(stock)) == ([], 0)
    # It comes again under another name.
    assert send(stock, *parts_of(group="again"))[-1].status == "loaded"


@pytest.mark.parametrize("code", [ErrorCode.CRASHED, ErrorCode.TIMEOUT, ErrorCode.TOO_LARGE])
def test_a_part_that_nobody_reads_rejects_the_group_even_if_it_is_the_first(stock: Desk, code: ErrorCode) -> None:
    one, two, _ = parts_of()
    assert stock.loader.settle(two.item(stock, problem=code)).error_code == code
    assert told(send(stock, one)) == [("rejected", "group_rejected")]
    assert progress(stock) == [("big", "rejected", 3, 0, None)]


def test_an_unsigned_part_that_nobody_reads_does_a_signed_group_no_harm(stock: Desk) -> None:
    one, two, three = parts_of()
    send(stock, one)
    assert stock.loader.settle(replace(two, signer=None).item(stock, problem=ErrorCode.CRASHED)).status == "rejected"
    assert told(send(stock, two, three)) == [("staged", None), ("loaded", None)]


def test_a_part_that_is_gone_leaves_its_group_waiting(stock: Desk) -> None:
    one, two, three = parts_of()
    send(stock, one)
    gone = two.item(stock, problem=ErrorCode.OBJECT_MISSING).model_copy(update={"declared": None, "signer": None})
    assert stock.loader.settle(gone).error_code == "object_missing"
    assert progress(stock) == [("big", "open", 3, 1, "2-3")]
    assert told(send(stock, two, three)) == [("staged", None), ("loaded", None)]


def test_a_part_that_is_no_gzip_rejects_the_group(stock: Desk) -> None:
    one, two, _ = parts_of()
    send(stock, one)
    assert stock.loader.settle(two.item(stock, packed=b"no gzip")).error_code == "gzip_invalid"
    assert statuses(stock) == {"rejected": 2}
    assert chunks(stock) == 0


def test_a_damaged_repeat_of_a_part_that_is_there_does_no_harm(stock: Desk) -> None:
    one, two, three = parts_of()
    send(stock, one)
    assert stock.loader.settle(one.item(stock, problem=ErrorCode.CIPHERTEXT_CORRUPT)).status == "rejected"
    assert told(send(stock, two, three)) == [("staged", None), ("loaded", None)]


def test_parts_too_large_together(stock: Desk) -> None:
    stock.configure("[datasets.stock]\nmax_bytes = 30\n")
    assert told(send(stock, *parts_of())) == [("staged", None), ("staged", None), ("rejected", "too_large")]
    assert statuses(stock) == {"rejected": 3}


def test_what_is_wrong_with_the_whole_rejects_the_whole(stock: Desk) -> None:
    settled = send(stock, *parts_of(("id,v\n1,a\n", 'id,v\n2,"a\nb"\nx,c\n', "id,v\n3,c\n")))
    assert told(settled) == [("staged", None), ("staged", None), ("rejected", "value_invalid")]
    key = KEY.format("big", 2, 3)
    assert settled[-1].error == f"part 2 ({key}): line 4, column id (integer) is not a value of the column's type"
    others = stock.rows("SELECT DISTINCT error_code, error FROM hikyaku.files WHERE part < 3")
    assert others == [("group_rejected", f"group big was rejected as value_invalid: {settled[-1].error}")]
    assert (table(stock), chunks(stock)) == ([], 0)


def test_a_key_twice_is_found_over_all_parts(stock: Desk) -> None:
    last = send(stock, *parts_of(("id,v\n1,a\n", "id,v\n2,b\n", "id,v\n3,c\n1,d\n")))[-1]
    assert last.error_code == "duplicate_keys"
    assert "the first in part 3, line 3:" in str(last.error)
    stock.configure('[datasets.stock]\non_duplicate_key = "last"\n')
    send(stock, *parts_of(("id,v\n1,a\n", "id,v\n2,b\n", "id,v\n3,c\n1,d\n"), "again"))
    assert table(stock) == [(1, "d"), (2, "b"), (3, "c")]


@pytest.mark.parametrize("header", ["id,w\n", "v,id\n", "id\n"])
def test_every_part_has_the_same_header(stock: Desk, header: str) -> None:
    last = send(stock, *parts_of((THREE[0], header + "3,c\n", THREE[2])))[-1]
    assert last.error_code == "columns_mismatch"
    assert "part 2" in str(last.error)
    assert "its header is not that of part 1" in str(last.error)
    assert table(stock) == []


def test_parts_without_a_header(stock: Desk) -> None:
    stock.configure('[datasets.stock]\nheader = "none"\ncolumns = ["id", "v"]\n')
    send(stock, *parts_of(("1,a\n2,b\n", "3,c", "4,d\n5,e\n6,f\n")))
    assert table(stock) == ALL


def test_wrong_records_are_put_aside_with_their_file_and_line(stock: Desk) -> None:
    stock.configure("[datasets.stock]\nmax_rejected_rows = 2\n")
    last = send(stock, *parts_of(("id,v\n1,a\nx,b\n", 'id,v\n3,"c\nd"\n4,e,f\n', "id,v\n5,g\n")))[-1]
    assert last.status == "loaded"
    assert table(stock) == [(1, "a"), (3, "c\nd"), (5, "g")]
    assert wrong(stock) == [(KEY.format("big", 1, 3), 3, "value_invalid", "x,b"), (KEY.format("big", 2, 3), 4, "csv_malformed", "4,e,f")]
    assert stock.rows("SELECT part, rows_in_file, rows_rejected FROM hikyaku.files ORDER BY part") == [(1, 2, 1), (2, 2, 1), (3, 1, 0)]


def test_records_that_the_table_refuses_are_put_aside_with_their_file_and_line(stock: Desk) -> None:
    stock.table("stock (id int PRIMARY KEY, v text CHECK (v <> 'bad'), w int REFERENCES stock)")
    stock.configure("[datasets.stock]\nmax_rejected_rows = 0.5\n")
    contents = ("id,v,w\n1,a,\n2,bad,\n", "id,v,w\n3,c,1\n4,d,99\n", "id,v,w\n5,e,98\n6,f,3\n")
    assert send(stock, *parts_of(contents))[-1].status == "loaded"
    assert table(stock, "id") == [(1,), (3,), (6,)]
    assert [row[:2] for row in wrong(stock)] == [(KEY.format("big", part, 3), line) for part, line in ((1, 3), (2, 3), (3, 2))]


def test_too_many_wrong_records_are_named_by_part_and_line(stock: Desk) -> None:
    stock.configure("[datasets.stock]\nmax_rejected_rows = 1\n")
    last = send(stock, *parts_of(("id,v\n1,a\nx,b\n", "id,v\n3,c\n", "id,v\ny,g\n")))[-1]
    assert last.error_code == "too_many_rejected_rows"
    assert "part 1, line 3, column id" in str(last.error)
    assert "part 3, line 2, column id" in str(last.error)


def test_rows_know_their_file_and_line(stock: Desk) -> None:
    stock.table("stock (id int PRIMARY KEY, v text, f text, l int)")
    stock.configure('[datasets.stock]\nfile_column = "f"\nline_column = "l"\n')
    send(stock, *parts_of())
    assert [row[1:] for row in table(stock, "id, f, l")] == [
        (KEY.format("big", part, 3), line) for part, line in ((1, 2), (1, 3), (2, 2), (3, 2), (3, 3), (3, 4))
    ]
    stock.configure('[datasets.stock]\nfile_column = "f"\n')
    stock.table("stock (id int PRIMARY KEY, v text, f text)")
    assert send(stock, *parts_of(("id,v\n1,a\n", "id,v\n2,b\n"), "other"))[-1].status == "loaded"
    assert table(stock, "f") == [(KEY.format("other", part, 2),) for part in (1, 2)]
