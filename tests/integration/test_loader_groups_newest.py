"""Groups among other files: which is the newer one, and what their senders have counted."""

from dataclasses import replace

import pytest

from integration.group_fixture import THREE, Part, parts_of, send, statuses, table, told
from integration.loader_fixture import Desk
from shared.contract import Declared

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture", "integration.group_fixture")


def numbered(first: int, group: str = "big", contents: tuple[str, ...] = THREE) -> list[Part]:
    """Parts that their sender has numbered one after another."""
    return [replace(part, seq=first + place) for place, part in enumerate(parts_of(contents, group))]


def alone(desk: Desk, seq: int, content: str = "id,v\n9,alone\n") -> str:
    """A file by itself."""
    declared = Declared(sender="acme", seq=seq, created_at="2026-05-01T00:00:00Z")
    return desk.loader.settle(desk.decrypted(desk.file(f"incoming/stock/{seq}.csv.gz.age"), content.encode(), declared=declared)).status


@pytest.mark.parametrize("last", range(3))
def test_a_group_is_as_new_as_its_newest_part(stock: Desk, last: int) -> None:
    """Whichever comes last: its number is not the group's."""
    stock.configure('[datasets.stock]\nmode = "replace"\norder_by = "seq"\n')
    assert alone(stock, 6) == "loaded"
    older, newer = numbered(3, "older", ("id,v\n1,o\n", "id,v\n2,o\n", "id,v\n3,o\n")), numbered(5, "newer")
    for parts, end in ((older, "superseded"), (newer, "loaded")):
        parts.append(parts.pop(last))
        assert [each.status for each in send(stock, *parts)] == ["staged", "staged", end]
    assert len(table(stock)) == 6
    assert [alone(stock, 4, "id,v\n9,x\n"), alone(stock, 8, "id,v\n9,y\n")] == ["superseded", "loaded"]


def test_groups_are_ordered_by_their_day(stock: Desk) -> None:
    stock.configure('[datasets.stock]\nmatch = "incoming/stock/{day}.*"\nmode = "replace"\norder_by = "{day}"\n')
    send(stock, *parts_of(group="20261125"))
    late = send(stock, *parts_of(("id,v\n1,late\n", "id,v\n2,late\n"), "20261124"))
    assert [each.status for each in late] == ["staged", "superseded"]
    assert len(table(stock)) == 6


@pytest.mark.parametrize("wrong", range(3))
def test_a_part_with_other_rows_than_its_sender_counted_rejects_the_group(stock: Desk, wrong: int) -> None:
    parts = [replace(part, rows=rows) for part, rows in zip(parts_of(), (2, 1, 3), strict=True)]
    parts[wrong] = replace(parts[wrong], rows=7)
    last = send(stock, *parts)[-1]
    assert told([last]) == [("rejected", "rows_mismatch")]
    assert f"part {wrong + 1}: the manifest says 7 records" in (last.error or "")
    assert (table(stock), statuses(stock)) == ([], {"rejected": 3})


def test_parts_with_as_many_rows_as_their_sender_counted(stock: Desk) -> None:
    assert told(send(stock, *(replace(part, rows=rows) for part, rows in zip(parts_of(), (2, 1, 3), strict=True))))[-1] == ("loaded", None)


def test_a_part_under_a_number_that_was_used_rejects_the_group(stock: Desk) -> None:
    stock.configure('[datasets.stock]\nseq = "unique"\n')
    assert alone(stock, 5) == "loaded"
    first, used, last = send(stock, *numbered(4))
    assert told([first, used, last]) == [("staged", None), ("staged", None), ("rejected", "seq_repeated")]
    assert "as number 5 before" in (last.error or "")
    assert told(send(stock, *numbered(6, "again")))[-1] == ("loaded", None)
    assert [alone(stock, 7, "id,v\n9,x\n"), alone(stock, 9, "id,v\n9,x\n")] == ["rejected", "loaded"]
