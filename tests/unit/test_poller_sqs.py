"""How SQS behaves towards IngestQueue. The suite is written against `Line`, so that a real SQS can take the fake's place:
add a builder to the fixture's params.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from fakes.clock import Clock
from fakes.sqs import LARGEST_MESSAGE, FakeSQS
from poller.settings import PollerSettings
from poller.sqs import LONGEST_ATTRIBUTE, DeadLetter, IngestQueue, Message, _attribute, connect
from shared.errors import ErrorCode

VISIBILITY_S = 10
MAX_RECEIVE_COUNT = 3
SETTINGS = PollerSettings(
    redis_url="redis://unused.invalid",
    queue_url="https://sqs.invalid/ingest",
    dlq_url="https://sqs.invalid/dlq",
    bucket="b",
    aws_region="eu-central-1",
    sqs_connect_timeout=3,
    sqs_read_timeout=7,
)


@dataclass(frozen=True, slots=True)
class Line:
    """A fresh queue (redrive to a fresh DLQ after MAX_RECEIVE_COUNT receives) and a way to let seconds pass for it."""

    client: Any
    queue_url: str
    dlq_url: str
    elapse: Callable[[float], None]

    @property
    def queue(self) -> IngestQueue:
        return IngestQueue(self.client, self.queue_url, self.dlq_url, VISIBILITY_S)

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.client.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def receive_one(self) -> Message:
        [message] = self.queue.receive(1, 1)
        return message

    def dead_letters(self) -> list[dict[str, Any]]:
        answer = self.client.receive_message(QueueUrl=self.dlq_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found


def fake_line() -> Line:
    clock = Clock()
    client = FakeSQS(clock)
    dlq = client.add_queue("https://sqs.invalid/dlq")
    queue = client.add_queue("https://sqs.invalid/ingest", dlq_url=dlq, max_receive_count=MAX_RECEIVE_COUNT)
    return Line(client, queue, dlq, clock.advance)


@pytest.fixture(params=[pytest.param(fake_line, id="fake")])
def line(request: pytest.FixtureRequest) -> Line:
    made: Line = request.param()
    return made


def test_the_client_takes_its_region_from_the_settings_and_outlasts_the_long_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 itself reads AWS_DEFAULT_REGION only."""
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    client = connect(SETTINGS, wait=20)
    assert client.meta.region_name == "eu-central-1"
    assert client.meta.config.read_timeout > 20  # type: ignore[attr-defined]  # botocore's Config sets its attributes by name


def test_a_client_that_does_not_poll_waits_no_longer_than_it_is_told() -> None:
    """A call that hangs is a heartbeat that does not leave."""
    config: Any = connect(SETTINGS).meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (3, 7, 2)
    assert config.tcp_keepalive


def test_long_polls_have_a_client_of_their_own() -> None:
    others, receiver = FakeSQS(Clock()), FakeSQS(Clock())
    url = receiver.add_queue("https://sqs.invalid/ingest")
    queue = IngestQueue(cast("Any", others), url, url, VISIBILITY_S, cast("Any", receiver))
    assert queue.receive(1, 1) == []
    assert (others.calls, receiver.calls) == ([], ["receive_message"])
    others.add_queue(url)
    assert queue.receive(1, 0) == []
    assert (others.calls, receiver.calls) == (["receive_message"], ["receive_message"])


def test_nothing_to_receive(line: Line) -> None:
    assert line.queue.receive(10, 0) == []


def test_a_message_arrives_with_its_body_and_count(line: Line) -> None:
    line.send("飛脚 <&> \t body")
    message = line.receive_one()
    assert message.body == "飛脚 <&> \t body"
    assert message.receive_count == 1


def test_more_slots_than_a_batch_are_asked_for_in_one_batch(line: Line) -> None:
    line.send(*(str(n) for n in range(12)))
    assert len(line.queue.receive(64, 1)) <= 10


def test_a_received_message_is_invisible_until_its_timeout(line: Line) -> None:
    line.send("a")
    line.receive_one()
    line.elapse(VISIBILITY_S - 2)
    assert line.queue.receive(10, 0) == []
    line.elapse(3)
    assert line.receive_one().receive_count == 2


def test_each_receive_has_its_own_handle(line: Line) -> None:
    line.send("a")
    first = line.receive_one()
    line.elapse(VISIBILITY_S + 1)
    second = line.receive_one()
    assert first.message_id == second.message_id
    assert first.receipt_handle != second.receipt_handle


def test_extend_keeps_a_message_invisible(line: Line) -> None:
    line.send("a")
    message = line.receive_one()
    for _ in range(3):
        line.elapse(VISIBILITY_S - 2)
        assert line.queue.extend({message.message_id: message.receipt_handle}) == set()
    assert line.queue.receive(10, 0) == []


def test_release_gives_a_message_back_at_once(line: Line) -> None:
    line.send("a")
    message = line.receive_one()
    assert line.queue.release({message.message_id: message.receipt_handle}) == set()
    assert line.receive_one().receive_count == 2


def test_extend_names_the_message_that_is_gone_and_extends_the_others(line: Line) -> None:
    line.send("a", "b")
    a, b = (line.receive_one() for _ in range(2))
    line.queue.delete({a.message_id: a.receipt_handle})
    line.elapse(VISIBILITY_S - 2)
    assert line.queue.extend({m.message_id: m.receipt_handle for m in (a, b)}) == {a.message_id}
    line.elapse(VISIBILITY_S - 2)
    assert line.queue.receive(10, 0) == []


def test_delete_deletes_for_good(line: Line) -> None:
    line.send("a")
    message = line.receive_one()
    assert line.queue.delete({message.message_id: message.receipt_handle}) == set()
    line.elapse(VISIBILITY_S + 1)
    assert line.queue.receive(10, 0) == []


def test_deleting_again_is_harmless(line: Line) -> None:
    line.send("a")
    message = line.receive_one()
    for _ in range(2):
        assert line.queue.delete({message.message_id: message.receipt_handle}) == set()


def test_more_than_a_batch_is_extended_and_deleted(line: Line) -> None:
    line.send(*(str(n) for n in range(23)))
    receipts: dict[str, str] = {}
    while found := line.queue.receive(10, 0):
        receipts |= {m.message_id: m.receipt_handle for m in found}
    assert len(receipts) == 23
    assert line.queue.extend(receipts) == set()
    assert line.queue.delete(receipts) == set()
    line.elapse(VISIBILITY_S + 1)
    assert line.queue.receive(10, 0) == []


def test_no_receipts_make_no_call(line: Line) -> None:
    assert line.queue.extend({}) == line.queue.release({}) == line.queue.delete({}) == set()


def test_a_message_received_too_often_goes_to_the_dead_letter_queue(line: Line) -> None:
    line.send("poison")
    for attempt in range(1, MAX_RECEIVE_COUNT + 1):
        message = line.receive_one()
        assert message.receive_count == attempt
        line.queue.release({message.message_id: message.receipt_handle})
    assert line.queue.receive(10, 0) == []
    [letter] = line.dead_letters()
    assert letter["Body"] == "poison"


def test_a_rejected_message_carries_its_error_to_the_dead_letter_queue(line: Line) -> None:
    line.queue.dead_letter(DeadLetter('{"a": 1}', ErrorCode.GZIP_INVALID, "not gzip: 列\n\x00 broken"))
    [letter] = line.dead_letters()
    assert letter["Body"] == '{"a": 1}'
    assert letter["MessageAttributes"]["error_code"]["StringValue"] == "gzip_invalid"
    assert letter["MessageAttributes"]["error"]["StringValue"].startswith("not gzip: 列")


def test_a_rejection_without_words_and_one_with_too_many_are_both_taken(line: Line) -> None:
    line.queue.dead_letter(DeadLetter("a", ErrorCode.GZIP_INVALID, ""))
    line.queue.dead_letter(DeadLetter("b", ErrorCode.GZIP_INVALID, "x" * 5000))
    lengths = {letter["Body"]: len(letter["MessageAttributes"]["error"]["StringValue"]) for letter in line.dead_letters()}
    assert lengths == {"a": 1, "b": LONGEST_ATTRIBUTE}


@given(st.text(max_size=3 * LONGEST_ATTRIBUTE))
def test_any_text_becomes_an_attribute_that_sqs_takes(text: str) -> None:
    made = _attribute(text)
    assert 1 <= len(made) <= LONGEST_ATTRIBUTE
    assert all(c.isprintable() for c in made)
    made.encode()


# What SQS leaves open, the fake decides for the worse.


def test_the_fake_does_not_delete_by_an_old_handle() -> None:
    line = fake_line()
    line.send("a")
    old = line.receive_one()
    line.elapse(VISIBILITY_S + 1)
    new = line.receive_one()
    line.queue.delete({old.message_id: old.receipt_handle})
    assert line.client.bodies(line.queue_url) == ["a"]
    line.queue.delete({new.message_id: new.receipt_handle})
    assert line.client.bodies(line.queue_url) == []


def test_the_fake_refuses_to_extend_what_is_visible_again() -> None:
    line = fake_line()
    line.send("a")
    message = line.receive_one()
    line.elapse(VISIBILITY_S + 1)
    assert line.queue.extend({message.message_id: message.receipt_handle}) == {message.message_id}


def test_the_fake_ends_invisibility_after_twelve_hours() -> None:
    line = fake_line()
    line.send("a")
    message = line.receive_one()
    receipts = {message.message_id: message.receipt_handle}
    refused: set[str] = set()
    extensions = 0
    while not refused:
        line.elapse(VISIBILITY_S - 1)
        refused = line.queue.extend(receipts)
        extensions += 1
    assert refused == {message.message_id}
    assert 12 * 3600 - VISIBILITY_S <= extensions * (VISIBILITY_S - 1) <= 12 * 3600


def test_the_fake_refuses_a_message_that_is_too_large() -> None:
    line = fake_line()
    line.send("x" * LARGEST_MESSAGE)
    with pytest.raises(ClientError):
        line.send("x" * (LARGEST_MESSAGE + 1))


def test_the_fake_goes_away_when_told() -> None:
    line = fake_line()
    line.send("a")
    line.client.outages["receive_message"] = 1
    with pytest.raises(Exception, match="Could not connect"):
        line.receive_one()
    assert line.receive_one().receive_count == 1


def test_receipt_handles_say_nothing_about_the_body() -> None:
    line = fake_line()
    line.send("secret body")
    handle = line.receive_one().receipt_handle
    assert "secret" not in handle
    assert hashlib.sha256(b"secret body").hexdigest() not in handle
