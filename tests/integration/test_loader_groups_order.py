"""Whose group it is, how long it waits, and how it stands to what was loaded before."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from integration.group_fixture import ALL, KEY, Part, chunks, make_old, parts_of, progress, send, statuses, table, told, wrong
from integration.loader_fixture import Desk
from shared.contract import Verdict
from shared.errors import ErrorCode

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture", "integration.group_fixture")


def test_senders_do_not_get_into_each_others_groups(stock: Desk) -> None:
    one, two, three = parts_of()
    thief = replace(two, content="id,v\n3,stolen\n", signer="thief", sender="acme")
    nobody = replace(thief, signer=None)
    assert told(send(stock, one, three, thief, nobody)) == [("staged", None)] * 4
    assert table(stock) == []
    assert send(stock, two)[0].status == "loaded"
    assert table(stock) == ALL


def test_a_forged_part_does_not_reject_a_group(stock: Desk) -> None:
    one, two, three = (replace(part, signer=None) for part in parts_of())
    send(stock, one)
    assert stock.loader.settle(two.item(stock, problem=ErrorCode.SIGNATURE_INVALID)).error_code == "signature_invalid"
    assert told(send(stock, two, three)) == [("staged", None), ("loaded", None)]


def test_another_count_of_parts_is_a_conflict(stock: Desk) -> None:
    one, two, three = parts_of()
    send(stock, one)
    odd = send(stock, replace(two, parts=4))[0]
    assert (odd.verdict, odd.error_code) == (Verdict.REJECTED, "group_conflict")
    assert odd.error == "group big has 3 parts, this file says 4: a file that was cut in another way needs another group"
    assert told(send(stock, two, three)) == [("staged", None), ("loaded", None)]


def test_another_content_of_a_part_is_a_conflict(stock: Desk) -> None:
    one, two, three = parts_of()
    odd = replace(one, content="id,v\n1,other\n")
    assert told(send(stock, one, odd, two, three, odd)) == [
        ("staged", None),
        ("rejected", "group_conflict"),
        ("staged", None),
        ("loaded", None),
        ("rejected", "group_conflict"),
    ]
    assert table(stock) == ALL


@pytest.mark.parametrize("said", [{"part": 4}, {"part": 0}, {"parts": None}, {"group": "a\0b"}, {"parts": 10**6}])
def test_a_manifest_that_makes_no_sense(stock: Desk, said: dict[str, object]) -> None:
    item = parts_of()[0].item(stock)
    assert item.declared is not None
    odd = item.model_copy(update={"declared": item.declared.model_copy(update=said)})
    assert told([stock.loader.settle(odd)]) == [("rejected", "manifest_invalid")]


def test_a_group_whose_parts_do_not_come_expires(stock: Desk) -> None:
    one, two, three = parts_of()
    first = send(stock, one)[0]
    make_old(stock, "6 days 23 hours")
    assert send(stock, two)[0].status == "staged"
    make_old(stock, "1 hour")
    late = send(stock, three)[0]
    assert (late.verdict, late.error_code) == (Verdict.REJECTED, "group_expired")
    assert stock.ledger(first)["error"] == "group big expired: of its 3 parts, 3 did not come in time"
    assert statuses(stock) == {"rejected": 3}
    assert (table(stock), chunks(stock)) == ([], 0)
    assert told(send(stock, one)) == [("rejected", "group_expired")]


def test_groups_expire_while_other_files_come(stock: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    send(stock, parts_of()[1], *parts_of(group="young")[:1])
    with stock.database.connect("hikyaku_migrator") as migrator:
        migrator.execute("UPDATE hikyaku.groups SET expires_at = now() WHERE name = 'big'")
    stock.loader.expire_groups()
    assert [row[1] for row in progress(stock)] == ["open", "open"], "not at every file"
    monkeypatch.setattr(stock.loader, "_next_expiry", 0.0)
    stock.loader.expire_groups()
    assert progress(stock) == [("big", "expired", 3, 1, None), ("young", "open", 3, 1, "2-3")]
    assert stock.rows("SELECT error_code FROM hikyaku.files WHERE key LIKE '%big%'") == [("group_expired",)]
    assert chunks(stock) == 1


def test_how_long_a_group_waits_is_an_option(stock: Desk) -> None:
    stock.configure('[datasets.stock]\ngroup_expires = "30m"\n')
    one, two, _ = parts_of()
    send(stock, one)
    [(waits,)] = stock.rows("SELECT expires_at - created_at FROM hikyaku.groups")
    assert abs(waits - timedelta(minutes=30)) < timedelta(seconds=5)
    make_old(stock, "31 minutes")
    # It was raised in time: what is said when a part comes counts.
    stock.configure('[datasets.stock]\ngroup_expires = "1h"\n')
    assert send(stock, two)[0].status == "staged"


def test_what_a_group_lacks_is_told_by_ranges(stock: Desk) -> None:
    for part in (1, 3, 4, 8):
        send(stock, Part("id,v\n", part, 12))
    assert progress(stock) == [("big", "open", 12, 4, "2, 5-7, 9-12")]


HISTORY = 'SELECT "group", part, parts, lacks FROM hikyaku.file_history ORDER BY key'


def test_the_history_names_a_files_group_and_what_it_lacks(stock: Desk) -> None:
    stock.send("incoming/stock/alone.csv.gz.age", "id,v\n9,alone\n")
    one, two, three = parts_of()
    send(stock, three, one)
    alone = (None, None, None, None)
    for user in ("hikyaku_operator", "hikyaku_owner"):
        with stock.database.connect(user) as connection:
            waiting = connection.execute(HISTORY).fetchall()
        assert waiting == [alone, ("big", 1, 3, "2"), ("big", 3, 3, "2")]
    send(stock, two)
    assert stock.rows(HISTORY) == [alone, *[("big", part, 3, None) for part in (1, 2, 3)]]


def test_the_operator_does_not_read_what_waits(stock: Desk) -> None:
    send(stock, parts_of()[0])
    for user in ("hikyaku_operator", "hikyaku_owner"):
        with stock.database.connect(user) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT FROM hikyaku.part_chunks")


def test_a_group_replaces_the_table_once(stock: Desk) -> None:
    stock.configure('[datasets.stock]\nmode = "replace"\n')
    stock.send("incoming/stock/old.csv.gz.age", "id,v\n99,old\n", event_time="2026-04-01T00:00:00Z")
    send(stock, *parts_of())
    assert table(stock) == ALL


def test_a_group_is_as_new_as_its_newest_part(stock: Desk) -> None:
    stock.configure('[datasets.stock]\nmode = "replace"\n')
    one, two, three = parts_of()
    stock.loader.settle(one.item(stock, event_time="2026-05-01T00:00:00Z"))
    stock.loader.settle(two.item(stock, event_time="2026-05-09T00:00:00Z"))
    assert stock.send("incoming/stock/between.csv.gz.age", "id,v\n99,between\n", event_time="2026-05-05T00:00:00Z").status == "loaded"
    assert stock.loader.settle(three.item(stock, event_time="2026-05-02T00:00:00Z")).status == "loaded"
    assert table(stock) == ALL
    assert stock.rows("SELECT value FROM hikyaku.watermarks") == [("2026-05-09T00:00:00.000Z",)]
    assert stock.send("incoming/stock/late.csv.gz.age", "id,v\n98,late\n", event_time="2026-05-06T00:00:00Z").status == "superseded"
    assert stock.send("incoming/stock/new.csv.gz.age", "id,v\n97,new\n", event_time="2026-05-10T00:00:00Z").status == "loaded"


def test_an_older_group_does_not_pass_a_newer_one_under_the_same_keys(stock: Desk) -> None:
    def key(part: Part) -> str:
        return KEY.format("x", part.part, part.parts)

    old, new = parts_of(("id,v\n1,old\n", "id,v\n2,old\n"), "old"), parts_of(("id,v\n1,new\n", "id,v\n2,new\n"), "new")
    stock.loader.settle(old[0].item(stock, key=key(old[0]), sequencer="1"))
    for part in new:
        stock.loader.settle(part.item(stock, key=key(part), sequencer="2"))
    assert stock.loader.settle(old[1].item(stock, key=key(old[1]), sequencer="1")).status == "superseded"
    assert statuses(stock) == {"loaded": 2, "superseded": 2}
    assert table(stock) == [(1, "new"), (2, "new")]
    assert chunks(stock) == 0


def test_one_newer_file_outdoes_the_group(stock: Desk) -> None:
    one, two = parts_of(("id,v\n1,old\n", "id,v\n2,old\n"))
    first = one.item(stock, sequencer="1")
    assert stock.loader.settle(first).status == "staged"
    assert stock.send(first.file.key, "id,v\n1,new\n", sequencer="2").status == "loaded"
    assert send(stock, two)[0].status == "superseded"
    assert table(stock) == [(1, "new")]


def test_a_group_whose_keys_had_other_content_meanwhile_loads_again(stock: Desk) -> None:
    def come(group: str, contents: Sequence[str]) -> str:
        return [stock.loader.settle(p.item(stock, key=KEY.format("x", p.part, 2))).status for p in parts_of(contents, group)][-1]

    first, second = ("id,v\n1,a\n", "id,v\n2,a\n"), ("id,v\n1,b\n", "id,v\n2,a\n")
    assert [come(*each) for each in (("1", first), ("2", second), ("3", first), ("4", first))] == ["loaded"] * 3 + ["duplicate"]
    assert table(stock) == [(1, "a"), (2, "a")]


def test_the_same_content_as_another_group_is_a_duplicate(stock: Desk) -> None:
    send(stock, *parts_of())
    stock.sql.execute("UPDATE stock SET v = 'by hand'")
    assert [each.status for each in send(stock, *parts_of(group="again"))] == ["staged", "staged", "duplicate"]
    assert statuses(stock) == {"loaded": 3, "duplicate": 3}
    assert {row[1] for row in table(stock)} == {"by hand"}


def test_a_group_of_one(stock: Desk) -> None:
    assert told(send(stock, Part("id,v\n1,a\n", 1, 1))) == [("loaded", None)]
    assert table(stock) == [(1, "a")]


def test_a_dry_run_tests_a_part_alone(stock: Desk) -> None:
    settled = stock.loader.settle(parts_of()[1].item(stock, key="incoming/test/stock/x.csv.gz.age"))
    assert settled.status == "tested"
    assert stock.ledger(settled)["error"] == "part 2 of 3 was tested by itself: a dry run does not put a group together"
    assert (table(stock), progress(stock)) == ([], [])


def test_on_postgresql_16(old_desk: Desk) -> None:
    old_desk.table("stock (id int PRIMARY KEY, v text)")
    old_desk.configure("[datasets.stock]\nmax_rejected_rows = 1\n")
    assert send(old_desk, *parts_of(("id,v\n1,a\n", "id,v\n3,c\nx,b\n")))[-1].status == "loaded"
    assert [row[:2] for row in wrong(old_desk)] == [(KEY.format("big", 2, 2), 3)]
    old_desk.loader._database.close()
