"""The dead-letter queue under the operator's hands: nothing is lost, whatever is looked at or cut short."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from fakes.clock import Clock
from fakes.line import KEY, body, eventbridge, native, native_record
from fakes.poller import DLQ, QUEUE, queues
from fakes.sqs import FakeSQS
from hikyaku.errors import UserError
from hikyaku.operator import letters, redrive
from hikyaku.operator.chosen import Choice
from hikyaku.operator.event import announced
from hikyaku.operator.letters import BY_HAND, NO_CODE, Letter
from hikyaku.operator.retry import event
from hikyaku.operator.settings import OperatorSettings
from poller.events import parse

SETTINGS = OperatorSettings(queue_url=QUEUE, dlq_url=DLQ)
A, B = "incoming/orders/a.csv.gz.age", "incoming/飛脚/b [1].csv.gz.age"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sqs(clock: Clock) -> FakeSQS:
    return queues(clock)


def bury(sqs: FakeSQS, key: str = A, version: str = "v1", code: str | None = "gzip_invalid") -> str:
    said = {"error_code": {"DataType": "String", "StringValue": code}} if code else None
    return str(sqs.send_message(QueueUrl=DLQ, MessageBody=body(eventbridge(key, version=version)), MessageAttributes=said)["MessageId"])


def look(sqs: FakeSQS) -> list[Letter]:
    return letters.look(cast("Any", sqs), DLQ)


def test_a_look_leaves_all_that_it_saw_visible(sqs: FakeSQS) -> None:
    for number in range(25):
        bury(sqs, version=f"v{number}")
    assert len(look(sqs)) == 25
    assert len(sqs.visible(DLQ)) == 25
    assert len(look(sqs)) == 25, "at once, and again"


def test_a_look_that_dies_gives_back_by_itself(sqs: FakeSQS, clock: Clock) -> None:
    bury(sqs)
    letters.Held(cast("Any", sqs), DLQ).receive(10)
    assert sqs.visible(DLQ) == []
    clock.now += letters.HOLD_S
    assert len(sqs.visible(DLQ)) == 1


def test_an_error_in_the_block_gives_back_too(sqs: FakeSQS) -> None:
    bury(sqs)
    with pytest.raises(UserError), letters.held(cast("Any", sqs), DLQ):
        raise UserError("something else")
    assert len(sqs.visible(DLQ)) == 1


@pytest.mark.parametrize(
    ("text", "key", "version"),
    [
        (body(eventbridge(B, version="v7")), B, "v7"),
        (body(eventbridge(B, version=None)), B, "etag:b1946ac92492d2347c6235b4d2611184"),
        (body(native(native_record(B, version="v7"))), B, "v7"),
        ("no json", "", ""),
        ("[" * 100_000, "", ""),
        ('{"detail": {"object": {"key": 5}}}', "", ""),
        ('{"Records": []}', "", ""),
    ],
)
def test_an_event_names_its_object(text: str, key: str, version: str) -> None:
    assert announced(text) == ([(key, version)] if key else [])


def letter(key: str = A, version: str = "v1", **more: Any) -> Letter:
    message = {"MessageId": "m1", "ReceiptHandle": "secret-handle", "Body": body(eventbridge(key, version=version)), **more}
    return Letter.read(message)


def test_how_a_letter_came_is_told() -> None:
    attributes = {"error_code": {"DataType": "String", "StringValue": "too_large"}}
    assert letter(MessageAttributes=attributes).error_code == "too_large"
    assert letter(Attributes={"DeadLetterQueueSourceArn": "arn:x", "SentTimestamp": "1700000000000"}).error_code == NO_CODE
    assert letter().error_code == BY_HAND


def test_neither_the_receipt_nor_the_body_is_in_its_words() -> None:
    assert "secret-handle" not in f"{letter()!r} {letter().as_json()}"
    assert "Object Created" not in repr(letter())


@pytest.mark.parametrize("name", [B, "飛脚/b [1].csv.gz.age", "incoming/飛脚/*", "飛脚/?*.age", "m1"])
def test_a_person_names_it_in_several_ways(name: str) -> None:
    assert letter(B).is_called(name)
    assert letter("incoming/%E9%A3%9B%E8%84%9A/b%20%5B1%5D.csv.gz.age").is_called(name), "as LocalStack spells it"
    assert not letter("incoming/other/c.csv.gz.age", MessageId="m2").is_called(name)


def test_it_announces_its_own_version_only() -> None:
    row = {"key": B, "version_id": "v1"}
    assert letter(B).announces(row)
    assert not letter(B, version="v2").announces(row)
    assert not letter(A).announces(row)


@pytest.mark.parametrize(("names", "code", "everything"), [((), None, False), (("a",), None, True), ((), "too_large", True)])
def test_a_choice_must_be_one(names: tuple[str, ...], code: str | None, everything: bool) -> None:
    with pytest.raises(UserError) as caught:
        Choice.of(names, code, everything=everything)
    assert caught.value.exit_code == 2


def test_a_name_and_a_code_must_both_fit(sqs: FakeSQS) -> None:
    bury(sqs, A)
    bury(sqs, A, "v2", "too_large")
    bury(sqs, B, "v3", "too_large")
    [chosen] = Choice.of(["orders/*"], "too_large", everything=False).of_these(look(sqs))
    assert (chosen.key, chosen.version_id) == (A, "v2")


def test_what_is_redriven_is_in_one_queue_only_and_the_rest_stays(sqs: FakeSQS) -> None:
    bury(sqs, A)
    bury(sqs, B, "v2")
    wanted = [each for each in look(sqs) if each.key == A]
    assert redrive.move(cast("Any", sqs), SETTINGS, wanted) == "1 of 1 messages sent"
    assert [announced(text) for text in sqs.bodies(QUEUE)] == [[(A, "v1")]]
    assert [announced(message.body) for message in sqs.visible(DLQ)] == [[(B, "v2")]]


class Killed(BaseException):
    """Stands for the end of the process."""


def test_killed_between_send_and_delete_it_is_there_twice_and_never_lost(
    sqs: FakeSQS, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(sqs)
    wanted = look(sqs)

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        # Killed: nothing gives back either.
        dying.setattr(sqs, "delete_message_batch", die)
        dying.setattr(sqs, "change_message_visibility_batch", die)
        with pytest.raises(Killed):
            redrive.move(cast("Any", sqs), SETTINGS, wanted)
    assert len(sqs.bodies(QUEUE)) == 1
    assert sqs.visible(DLQ) == []
    clock.now += letters.HOLD_S
    redrive.move(cast("Any", sqs), SETTINGS, look(sqs))
    assert (len(sqs.bodies(QUEUE)), len(sqs.bodies(DLQ))) == (2, 0)


@pytest.mark.parametrize("version", ["v9", "etag:b1946ac92492d2347c6235b4d2611184"])
def test_the_poller_understands_the_event_that_a_retry_sends(version: str) -> None:
    row = {
        "bucket": "b", "key": B, "version_id": version, "etag": "b1946ac92492d2347c6235b4d2611184", "size_bytes": 12,
        "sequencer": "0A", "event_time": datetime(2026, 11, 1, 2, 3, 4, tzinfo=UTC),
    }  # fmt: skip
    created = parse(event(row), "b")
    assert isinstance(created, list)
    [file] = created
    assert (file.key, file.version_id, file.size, file.sequencer) == (B, version, 12, "0A")
    assert file.event_time == "2026-11-01T02:03:04Z"
    assert announced(event(row)) == [(B, version)]


def test_a_list_never_ends_in_a_queue_that_hands_out_the_same_again(sqs: FakeSQS) -> None:
    """A hold that ran out: the same message comes again, under a new receipt handle."""
    bury(sqs)
    sqs.queues[DLQ].visibility_timeout = 0
    receive: Callable[..., dict[str, Any]] = sqs.receive_message
    cast("Any", sqs).receive_message = lambda **given: receive(**{**given, "VisibilityTimeout": 0})
    assert len(look(sqs)) == 1


def test_an_unknown_body_is_shown_as_it_is(sqs: FakeSQS) -> None:
    sqs.send_message(QueueUrl=DLQ, MessageBody=json.dumps({"who": "knows"}))
    [found] = look(sqs)
    assert (found.key, found.error_code, found.as_json()["key"]) == ("", BY_HAND, "")
    assert KEY not in found.body
