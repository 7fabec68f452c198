"""What the loader hands on for a file's sender is what the ledger says, whenever it is asked."""

from datetime import datetime

import pytest

from integration import group_fixture
from integration.loader_fixture import Desk
from shared.contract import Problem, Receipt, RowCounts, Settlement
from shared.errors import ErrorCode

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

KEY = "incoming/stock/{}.csv.gz.age"
NOBODY_COUNTED = RowCounts(rejected=0)


@pytest.fixture(autouse=True)
def stock(desk: Desk) -> None:
    desk.configure("")
    desk.table("stock (id int PRIMARY KEY, v text)")


def told(settlement: Settlement) -> Receipt:
    """Through the wire."""
    read = Settlement.read(settlement.dump()).receipt
    assert read is not None
    return read


def test_a_loaded_file_is_told_of_with_its_counts(desk: Desk) -> None:
    desk.send(KEY.format("a"), "id,v\n1,a\n2,b\n")
    made = desk.send(KEY.format("a"), "id,v\n1,a\n2,c\n3,d\n", sequencer="0A")
    row, receipt = desk.ledger(made), told(made)
    assert receipt == Receipt(
        bucket=row["bucket"],
        key=row["key"],
        version_id=row["version_id"],
        sha256="ab" * 32,
        size=1,
        dataset="stock",
        status="loaded",
        rows=RowCounts(read=3, inserted=1, updated=1, unchanged=1, deleted=0, rejected=0),
        file_id=row["file_id"],
        sequencer="0A",
        event_time=receipt.event_time,
        received_at="2026-05-01T00:00:01.000000Z",
        committed_at=receipt.committed_at,
    )
    assert datetime.fromisoformat(receipt.event_time) == row["event_time"]
    assert datetime.fromisoformat(receipt.committed_at) == row["loaded_at"]
    assert receipt.committed_at.endswith("Z")


@pytest.mark.parametrize("datestyle", ["ISO, MDY", "SQL, DMY", "German", "Postgres, MDY"])
def test_times_are_told_as_ever_whatever_the_dataset_says_of_dates(desk: Desk, datestyle: str) -> None:
    desk.configure(f'[datasets.days]\ndatestyle = "{datestyle}"\ntimezone = "Asia/Tokyo"\n')
    desk.table("days (id int PRIMARY KEY, at timestamptz)")
    made = desk.send("incoming/days/a.csv.gz.age", "id,at\n1,2026-01-02 03:04\n")
    assert told(made).received_at == "2026-05-01T00:00:01.000000Z"
    assert datetime.fromisoformat(told(made).committed_at) == desk.ledger(made)["loaded_at"]


@pytest.mark.parametrize("content", ["id,v\n1,a\n", "id,v\n1,a,b\n"])
def test_a_file_that_was_settled_before_is_told_of_likewise(desk: Desk, content: str) -> None:
    item = desk.decrypted(desk.file(KEY.format("a"), sequencer="0A"), content.encode())
    first = told(desk.loader.settle(item))
    gone = item.model_copy(update={"problem": Problem(error_code="object_missing", message="gone", retry=False)})
    again = told(desk.loader.settle(gone))
    if first.status == "loaded":
        assert again == first
    else:
        assert (first.status, again.status, again.error_code) == ("rejected", "rejected", "object_missing")
        assert again.committed_at > first.committed_at


def test_a_loaded_file_whose_event_spells_its_key_otherwise_is_told_of_under_its_own(desk: Desk) -> None:
    item = desk.decrypted(desk.file("incoming/stock/two words.csv.gz.age"), b"id,v\n1,a\n")
    first = told(desk.loader.settle(item))
    file = item.file.model_copy(update={"key": "incoming/stock/two%20words.csv.gz.age"})
    gone = desk.decrypted(file, None, problem=Problem(error_code="object_missing", message="gone", retry=False))
    assert told(desk.loader.settle(gone)) == first


@pytest.mark.parametrize(
    ("content", "code", "lines"),
    [
        ("id,v\n1,a\nx,b\n", ErrorCode.VALUE_INVALID, (3,)),
        ("id,v\n1,a\n2,b,c\n", ErrorCode.CSV_MALFORMED, (3,)),
        ("id,v\n,a\n", ErrorCode.CONSTRAINT_VIOLATED, (2,)),
        ("id,w\n1,a\n", ErrorCode.COLUMNS_MISMATCH, ()),
    ],
)
def test_a_rejected_file_is_told_of_with_its_first_bad_lines(desk: Desk, content: str, code: str, lines: tuple[int, ...]) -> None:
    made = desk.send(KEY.format("a"), content)
    receipt = told(made)
    assert (receipt.status, receipt.error_code, receipt.error) == ("rejected", code, desk.ledger(made)["error"])
    assert (receipt.bad_lines, receipt.rows) == (lines, NOBODY_COUNTED)


def test_of_many_bad_lines_the_first_are_told(desk: Desk) -> None:
    content = "id,v\n" + "".join(f"{'x' if n % 2 else n},a\n" for n in range(60))
    desk.configure("[datasets.stock]\nmax_rejected_rows = 30")
    receipt = told(desk.send(KEY.format("a"), content))
    assert (receipt.status, receipt.rows.read, receipt.rows.inserted, receipt.rows.rejected) == ("loaded", 60, 30, 30)
    assert receipt.bad_lines == tuple(range(3, 43, 2))
    desk.configure("[datasets.stock]\nmax_rejected_rows = 29")
    receipt = told(desk.send(KEY.format("b"), content))
    assert (receipt.status, receipt.error_code, receipt.bad_lines) == ("rejected", "too_many_rejected_rows", tuple(range(3, 43, 2)))


def test_each_fate_is_told_and_a_failure_is_not(desk: Desk) -> None:
    newer = desk.send(KEY.format("a"), "id,v\n1,a\n", sequencer="0B")
    made = [
        newer,
        desk.send(KEY.format("b"), "id,v\n1,a\n"),
        desk.send(KEY.format("a"), "id,v\n1,b\n", sequencer="0A"),
        desk.send("incoming/test/stock/a.csv.gz.age", "id,v\n2,b\n"),
        desk.send("incoming/nothing/a.csv.gz.age", "id\n1\n"),
    ]
    fates = ["loaded", "duplicate", "superseded", "tested", "rejected"]
    assert [told(each).status for each in made] == fates
    problem = Problem(error_code=ErrorCode.STORAGE_UNAVAILABLE, message="away", retry=True)
    failed = desk.loader.settle(desk.decrypted(desk.file(KEY.format("c")), None, problem=problem))
    assert (failed.status, failed.receipt) == ("failed", None)


def test_parts_of_a_group_are_told_what_is_known_when_they_come(desk: Desk) -> None:
    desk.configure("[datasets.stock]\nmax_rejected_rows = 1")
    contents = ("id,v\n1,a\n", "id,v\n2,b\nx,c\n")
    staged, last = (told(each) for each in group_fixture.send(desk, *group_fixture.parts_of(contents)))
    assert (staged.status, staged.rows.read) == ("staged", None)
    assert (last.status, last.rows.read, last.rows.inserted, last.rows.rejected, last.bad_lines) == ("loaded", 2, 2, 1, (3,))


def test_a_dataset_may_go_without(desk: Desk) -> None:
    desk.configure("[datasets.stock]\nreceipt = false")
    made = desk.send(KEY.format("a"), "id,v\n1,a\n")
    assert (made.status, made.receipt) == ("loaded", None)
    desk.configure("[defaults]\nreceipt = false")
    assert desk.send(KEY.format("a"), "id,v\n2,a\n").receipt is None


def test_times_are_told_in_utc_whatever_the_server_is_set_to(desk: Desk) -> None:
    desk.loader._database.connection().execute("SET timezone = 'Asia/Tokyo'")
    made = desk.send(KEY.format("a"), "id,v\n1,a\n")
    assert told(made).received_at == "2026-05-01T00:00:01.000000Z"
    assert datetime.fromisoformat(told(made).committed_at) == desk.ledger(made)["loaded_at"]
