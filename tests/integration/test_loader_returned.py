"""Records that come back to their sender: what the loader hands on of them opens with the sender's key alone, and is those of the file."""

import base64
import csv
import gzip
import io

import pyrage
import pytest

from integration import group_fixture
from integration.loader_fixture import Desk
from loader import returned
from shared.contract import Settlement

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

KEY = "incoming/stock/{}.csv.gz.age"
SENDER = pyrage.x25519.Identity.generate()
RETURN = f'[datasets.stock]\nrejects = "return"\nrejects_recipient = "{SENDER.to_public()}"\n'
HEADER = ["line", "column", "reason", "raw", "part"]
WRONG = 'id,v\n1,a\nx,"b, b"\n3,c\n4,d,e\n'


@pytest.fixture(autouse=True)
def stock(desk: Desk) -> None:
    with desk.database.connect("hikyaku_migrator") as migrator:
        migrator.execute("TRUNCATE hikyaku.groups CASCADE")
    desk.configure(RETURN + "max_rejected_rows = 2\n")
    desk.table("stock (id int PRIMARY KEY, v text)")


def packed(settlement: Settlement) -> bytes:
    """What the sender finds in the age file."""
    made = Settlement.read(settlement.dump())
    assert made.returned is not None
    assert made.receipt is not None
    assert made.receipt.rejects == f"rejects/{made.receipt.key}.csv.gz.age"
    sealed = base64.b64decode(made.returned, validate=True)
    assert sealed.startswith(b"age-encryption.org/v1\n-> X25519 ")
    return bytes(pyrage.decrypt(sealed, [SENDER]))


def opened(settlement: Settlement) -> list[list[str]]:
    """Its lines, without the header."""
    header, *lines = csv.reader(io.StringIO(gzip.decompress(packed(settlement)).decode(), newline=""))
    assert header == HEADER
    return lines


def nothing(settlement: Settlement) -> bool:
    return settlement.returned is None and settlement.receipt is not None and settlement.receipt.rejects is None


def test_the_wrong_records_of_a_file_come_back_and_no_other(desk: Desk) -> None:
    desk.send(KEY.format("b"), "id,v\nz,a\n7,b\n8,b\n")
    made = desk.send(KEY.format("a"), WRONG)
    assert opened(made) == [
        ["3", "id", f"value_invalid: {_error(desk, made, 3)}", 'x,"b, b"', ""],
        ["5", "", "csv_malformed: has 3 fields, not 2", "4,d,e", ""],
    ]
    assert made.receipt is not None
    assert made.receipt.rows.rejected == 2


def _error(desk: Desk, made: Settlement, line: int) -> str:
    row = desk.ledger(made)
    [[error]] = desk.rows(f"SELECT error FROM hikyaku.rejected_rows WHERE version_id = '{row['version_id']}' AND line_number = {line}")
    return str(error)


def test_only_the_senders_key_opens_them(desk: Desk) -> None:
    made = desk.send(KEY.format("a"), WRONG)
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(base64.b64decode(made.returned or ""), [pyrage.x25519.Identity.generate()])


def test_a_file_that_was_settled_before_brings_the_same_ones_again(desk: Desk) -> None:
    """So they survive whoever dies after the commit."""
    item = desk.decrypted(desk.file(KEY.format("a")), WRONG.encode())
    first, again = (desk.loader.settle(item) for _ in range(2))
    assert packed(first) == packed(again), "gzip holds no time"
    assert first.receipt == again.receipt
    assert first.returned != again.returned, "age never makes the same bytes twice"


def test_nothing_comes_back_of_what_has_nothing_wrong_or_was_not_put_aside(desk: Desk) -> None:
    made = {
        "loaded": desk.send(KEY.format("good"), "id,v\n1,a\n"),
        "duplicate": desk.send(KEY.format("again"), "id,v\n1,a\n"),
        "rejected": desk.send(KEY.format("bad"), "id,v\nx,a\ny,a\nz,a\n"),
    }
    assert {status: (each.status, nothing(each)) for status, each in made.items()} == {status: (status, True) for status in made}


def test_nothing_comes_back_unless_the_dataset_says_so(desk: Desk) -> None:
    desk.configure(f'[datasets.stock]\nmax_rejected_rows = 2\nrejects_recipient = "{SENDER.to_public()}"\n')
    made = desk.send(KEY.format("a"), WRONG)
    assert (made.status, nothing(made)) == ("loaded", True)


def test_of_a_dry_run_too(desk: Desk) -> None:
    made = desk.send("incoming/test/stock/a.csv.gz.age", WRONG)
    assert (made.status, [line[0] for line in opened(made)]) == ("tested", ["3", "5"])


def test_of_a_group_all_parts_come_back_with_the_one_that_came_last(desk: Desk) -> None:
    contents = ("id,v\nw,a\n1,a\n", "id,v\n2,b\n", "id,v\n3,c\nx,c\n")
    parts = group_fixture.parts_of(contents)
    items = [part.item(desk) for part in (parts[2], parts[0], parts[1])]
    made = [desk.loader.settle(item) for item in items]
    assert [each.status for each in made] == ["staged", "staged", "loaded"]
    assert [nothing(each) for each in made] == [True, True, False]
    wanted = [["2", "w,a", "1"], ["3", "x,c", "3"]]
    assert [[line[0], line[3], line[4]] for line in opened(made[-1])] == wanted
    again = [desk.loader.settle(item) for item in reversed(items)]
    assert [[line[0], line[3], line[4]] for line in opened(again[0])] == wanted
    assert [[line[3] for line in opened(each)] for each in again[1:]] == [["w,a"], ["x,c"]], "asked again, the others bring their own"


@pytest.mark.parametrize(("bound", "value"), [("MOST_RECORDS", 10), ("MOST_BYTES", 10 * (5 + len("is no value of type integer")))])
def test_many_come_back_as_far_as_they_fit(desk: Desk, monkeypatch: pytest.MonkeyPatch, bound: str, value: int) -> None:
    desk.configure(RETURN + "max_rejected_rows = 0.99\n")
    monkeypatch.setattr(returned, bound, value)
    content = "id,v\n1,a\n" + "".join(f"x{n:02},b\n" for n in range(40))
    *lines, last = opened(desk.send(KEY.format("a"), content))
    assert 0 < len(lines) <= 10
    assert [line[0] for line in lines] == [str(3 + n) for n in range(len(lines))]
    assert last == ["", "", f"and {40 - len(lines)} more, which only the host has", "", ""]


def test_what_is_longest_is_bounded(desk: Desk) -> None:
    desk.configure(RETURN + "max_rejected_rows = 0.99\n")
    content = "id,v\n1,a\n" + "".join(f"x,{'語' * 9000}\n" for _ in range(40))
    made = desk.send(KEY.format("a"), content)
    assert made.status == "loaded"
    assert len(gzip.decompress(packed(made))) < returned.MOST_BYTES * 1.1
    *lines, last = opened(made)
    assert last[2] == f"and {40 - len(lines)} more, which only the host has"
