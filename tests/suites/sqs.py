"""How SQS behaves towards IngestQueue: run on the fake in tests/unit/test_poller_sqs.py, on LocalStack in tests/integration."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from poller.sqs import LONGEST_ATTRIBUTE, DeadLetter, IngestQueue, Message
from shared.errors import ErrorCode

MAX_RECEIVE_COUNT = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A fresh queue (redrive to a fresh DLQ after MAX_RECEIVE_COUNT receives) and a way to let seconds pass for it."""

    client: Any
    queue_url: str
    dlq_url: str
    elapse: Callable[[float], None]
    visibility_s: int = 10

    @property
    def queue(self) -> IngestQueue:
        return IngestQueue(self.client, self.queue_url, self.dlq_url, self.visibility_s)

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
    line.elapse(line.visibility_s - 2)
    assert line.queue.receive(10, 0) == []
    line.elapse(3)
    assert line.receive_one().receive_count == 2


def test_each_receive_has_its_own_handle(line: Line) -> None:
    line.send("a")
    first = line.receive_one()
    line.elapse(line.visibility_s + 1)
    second = line.receive_one()
    assert first.message_id == second.message_id
    assert first.receipt_handle != second.receipt_handle


def test_extend_keeps_a_message_invisible(line: Line) -> None:
    line.send("a")
    message = line.receive_one()
    for _ in range(3):
        line.elapse(line.visibility_s - 2)
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
    line.elapse(line.visibility_s - 2)
    assert line.queue.extend({m.message_id: m.receipt_handle for m in (a, b)}) == {a.message_id}
    line.elapse(line.visibility_s - 2)
    assert line.queue.receive(10, 0) == []


def test_delete_deletes_for_good(line: Line) -> None:
    line.send("a")
    message = line.receive_one()
    assert line.queue.delete({message.message_id: message.receipt_handle}) == set()
    line.elapse(line.visibility_s + 1)
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
    line.elapse(line.visibility_s + 1)
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
