"""Whose objects are tagged or deleted when a group is loaded: its last part's message sees to all, as often as it comes."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from integration.group_fixture import Part, parts_of, send, told
from integration.loader_fixture import Desk
from loader import groups
from shared.contract import Decrypted, Problem, Settlement
from shared.errors import ErrorCode

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture", "integration.group_fixture")


@pytest.fixture
def wishing(stock: Desk) -> Desk:
    """Wants its objects deleted."""
    stock.configure('[datasets.stock]\nafter_load = "delete"\n')
    return stock


def objects(settlement: Settlement) -> list[tuple[str, str]]:
    return [(each.key, each.version_id) for each in settlement.siblings]


def versions(*items: Decrypted) -> list[tuple[str, str]]:
    return [(item.file.key, item.file.version_id) for item in items]


def test_the_part_that_came_last_sees_to_the_objects_of_all(wishing: Desk) -> None:
    one, two, three = (part.item(wishing, etag=f"e{part.part}") for part in parts_of())
    again = parts_of()[1].item(wishing, key="incoming/stock/again.csv.gz.age")
    settled = [wishing.loader.settle(item) for item in (three, two, again, one)]
    assert told(settled) == [*[("staged", None)] * 3, ("loaded", None)]
    assert [each.after_load for each in settled] == [None, None, None, "delete"]
    assert objects(settled[-1]) == versions(again, two, three)
    assert [each.etag for each in settled[-1].siblings] == ["", "e2", "e3"]
    assert [objects(each) for each in settled[:-1]] == [[]] * 3


def test_its_message_says_so_again_also_when_its_object_is_gone(wishing: Desk) -> None:
    items = [part.item(wishing) for part in parts_of()]
    *_, last = [wishing.loader.settle(item) for item in items]
    gone = wishing.decrypted(items[-1].file, None, problem=_gone())
    assert wishing.loader.settle(gone) == last.model_copy(update={"decrypted": False})
    assert objects(last) == versions(*items[:-1])


def _gone() -> Problem:
    return Problem(error_code=ErrorCode.OBJECT_MISSING, message="what happened", retry=False)


def test_another_parts_message_sees_to_its_own_only(wishing: Desk) -> None:
    items = [part.item(wishing) for part in parts_of()]
    for item in items:
        wishing.loader.settle(item)
    for item in items[:-1]:
        settled = wishing.loader.settle(item)
        assert (settled.status, settled.after_load, objects(settled)) == ("loaded", "delete", [])
    repeat = wishing.loader.settle(parts_of()[0].item(wishing))
    assert (repeat.status, repeat.after_load, objects(repeat)) == ("duplicate", "delete", [])


def test_a_duplicate_group_goes_the_same_way(wishing: Desk) -> None:
    send(wishing, *parts_of())
    items = [part.item(wishing) for part in parts_of(group="again")]
    *_, last = [wishing.loader.settle(item) for item in items]
    assert (last.status, objects(last)) == ("duplicate", versions(*items[:-1]))


def test_nothing_is_done_with_a_group_that_is_not_loaded_or_not_to_be_touched(wishing: Desk) -> None:
    *_, last = send(wishing, *parts_of(("id,v\n1,a\n", "id,v\nx,b\n")))
    assert (last.status, last.after_load, objects(last)) == ("rejected", None, [])
    wishing.configure("")
    *_, last = send(wishing, *parts_of(group="again"))
    assert (last.status, last.after_load, objects(last)) == ("loaded", None, [])


def test_of_very_many_the_first_are_seen_to_and_the_rest_is_told(wishing: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_SIBLINGS", 1)
    items = [part.item(wishing) for part in parts_of()]
    with capture_logs() as logs:
        *_, last = [wishing.loader.settle(item) for item in items]
    assert objects(last) == versions(items[0])
    [told_] = [log for log in logs if log["event"] == "left_in_s3"]
    assert (told_["key"], told_["objects"]) == (items[-1].file.key, 1)


def test_a_group_of_a_loader_before_is_left_as_it_is(wishing: Desk) -> None:
    items = [part.item(wishing) for part in parts_of()]
    for item in items:
        wishing.loader.settle(item)
    with wishing.database.connect("hikyaku_migrator") as migrator:
        migrator.execute("UPDATE hikyaku.groups SET last_part = NULL")
    assert objects(wishing.loader.settle(items[-1])) == []


def test_a_group_of_one_has_no_others(wishing: Desk) -> None:
    [settled] = send(wishing, replace(Part("id,v\n1,a\n", 1, 1), group="single"))
    assert (settled.status, settled.after_load, objects(settled)) == ("loaded", "delete", [])
