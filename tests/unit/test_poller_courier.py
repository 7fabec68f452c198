"""The courier's rounds over SQS, a pipeline and a broker that behave as the real ones, on a clock that only the test moves."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from kombu.exceptions import OperationalError
from structlog.testing import capture_logs

from fakes.clock import Clock
from fakes.line import BUCKET, FakeBroker, FakePipeline, body, eventbridge, native, native_record, settled
from fakes.poller import DLQ, MAX_RECEIVE_COUNT, QUEUE, courier, queues, settings
from fakes.sqs import LARGEST_MESSAGE
from poller.courier import HEARTBEATS_PER_TIMEOUT, Courier
from poller.settings import PollerSettings
from poller.sqs import SQS_ERRORS, Message
from shared.contract import FileRef, SettledParcel, Settlement, Verdict
from shared.errors import ErrorCode
from shared.protocol import LONGEST_BACK_S, LONGEST_PROBE_S, MOST_WAITS, Dependency

VISIBILITY_S = 120
HEARTBEAT_S = VISIBILITY_S / HEARTBEATS_PER_TIMEOUT
DEADLINE_S = 600


def _settings(**changes: Any) -> PollerSettings:
    return settings(**{"visibility_timeout": VISIBILITY_S, "max_in_flight": 8, "task_deadline": DEADLINE_S} | changes)


@dataclass
class World:
    """One poller between its neighbours."""

    clock: Clock = field(default_factory=Clock)
    pipeline: FakePipeline = field(default_factory=FakePipeline)
    broker: FakeBroker = field(default_factory=FakeBroker)
    settings: PollerSettings = field(default_factory=_settings)
    workers: bool | Exception = True
    """Whether they answer."""
    asked: int = 0

    def __post_init__(self) -> None:
        self.sqs = queues(self.clock)
        self.courier = self.new_courier()

    def new_courier(self) -> Courier:
        """A poller that has just started: it remembers nothing."""
        how = {"workers_answer": self._workers_answer, "chance": lambda: 1.0}
        return courier(self.settings, self.sqs, self.pipeline, self.broker, self.clock, **how)

    def _workers_answer(self) -> bool:
        self.asked += 1
        if isinstance(self.workers, Exception):
            raise self.workers
        return self.workers

    def send(self, *events: object) -> None:
        for event in events:
            self.sqs.send_message(QueueUrl=QUEUE, MessageBody=event if isinstance(event, str) else body(event))

    def send_files(self, count: int) -> None:
        self.send(*(eventbridge(f"incoming/orders/{n}.csv.gz.age", version=f"v{n}") for n in range(count)))

    def settle(self, *files: FileRef, verdict: Verdict = Verdict.DONE) -> None:
        self.courier.settle(settled(files, verdict))

    def fail(self, file: FileRef) -> None:
        """What the errback says of the file's newest chain."""
        self.courier.settle_failed(self.pipeline.chain_of[file.message_id])

    def finish_what_was_submitted(self, verdict: Verdict = Verdict.DONE) -> None:
        parcels, self.pipeline.parcels = self.pipeline.parcels, []
        for files in parcels:
            self.settle(*files, verdict=verdict)

    @property
    def left(self) -> int:
        """Messages in the queue, visible or not."""
        return len(self.sqs.bodies(QUEUE))


@pytest.fixture
def world() -> World:
    return World()


# Receive, submit, settle, delete


def test_a_finished_message_that_cannot_be_deleted_is_not_handed_out_again(world: World) -> None:
    """Each receive of it would be one of its few, and the last would put a loaded file into the dead-letter queue."""
    world.send_files(1)
    world.courier.receive()
    world.finish_what_was_submitted()
    world.sqs.outages["delete_message_batch"] = 1_000
    for _ in range(2 * HEARTBEATS_PER_TIMEOUT):
        with contextlib.suppress(*SQS_ERRORS):
            world.courier.keep()
        world.clock.advance(HEARTBEAT_S)
    assert world.courier.receive() == 0
    del world.sqs.outages["delete_message_batch"]
    world.courier.keep()
    assert world.left == 0


def test_what_is_finished_is_told_though_the_heartbeat_fails(world: World) -> None:
    world.send_files(2)
    world.courier.receive()
    first, _ = world.pipeline.files
    world.settle(first)
    world.sqs.outages["change_message_visibility_batch"] = 1
    with pytest.raises(SQS_ERRORS):
        world.courier.keep()
    assert world.left == 1


def test_a_file_goes_from_receive_to_delete(world: World) -> None:
    world.send_files(1)
    assert world.courier.receive() == 1
    [file] = world.pipeline.files
    assert (file.bucket, file.key, file.version_id, file.attempt) == (BUCKET, "incoming/orders/0.csv.gz.age", "v0", 1)
    world.courier.keep()
    assert world.left == 1
    world.settle(file)
    world.courier.keep()
    assert world.left == 0
    assert len(world.courier.in_flight) == 0
    assert world.sqs.bodies(DLQ) == []


def test_many_small_files_share_parcels_and_deletes(world: World) -> None:
    world.send_files(8)
    world.courier.receive()
    assert len(world.pipeline.parcels) == 1
    world.finish_what_was_submitted()
    world.courier.keep()
    assert world.left == 0
    assert world.sqs.calls.count("delete_message_batch") == 1


def test_receiving_is_bounded_by_the_free_slots(world: World) -> None:
    world.send_files(12)
    while world.courier.receive():
        pass
    assert len(world.courier.in_flight) == 8
    assert world.courier.is_full
    calls = len(world.sqs.calls)
    assert world.courier.receive() == 0
    assert len(world.sqs.calls) == calls
    world.settle(world.pipeline.files[0])
    assert not world.courier.is_full
    assert world.courier.receive() == 1


def test_settling_wakes_the_keeper_and_the_receiver(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    assert not world.courier.wake.is_set()
    world.settle(*world.pipeline.files)
    assert world.courier.wake.is_set()
    assert world.courier.room.is_set()


def test_a_message_of_several_files_is_deleted_when_all_are_settled(world: World) -> None:
    world.send(native(native_record("incoming/orders/1.csv.gz.age"), native_record("incoming/orders/2.csv.gz.age")))
    world.courier.receive()
    first, second = world.pipeline.files
    world.settle(first)
    world.courier.keep()
    assert world.left == 1
    world.settle(second)
    world.courier.keep()
    assert world.left == 0


def test_the_same_message_twice_is_submitted_once(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    world.clock.advance(VISIBILITY_S + 1)
    assert world.courier.receive() == 1
    assert len(world.pipeline.files) == 1
    world.finish_what_was_submitted()
    world.courier.keep()
    assert world.left == 0, "deleted by the newest handle"


def test_a_settlement_for_a_message_not_held_is_harmless(world: World) -> None:
    world.courier.settle(
        SettledParcel(
            parcel_id="p", settlements=(Settlement(message_id="unknown", file_id="f", verdict=Verdict.REJECTED, status="rejected"),)
        )
    )
    world.courier.settle_failed("unknown")
    world.courier.keep()
    assert world.sqs.bodies(DLQ) == []


# Rejected, retried, not ours


def test_a_rejected_file_goes_to_the_dead_letter_queue_with_its_code_and_then_away(world: World) -> None:
    world.send_files(1)
    [sent] = world.sqs.bodies(QUEUE)
    world.courier.receive()
    world.finish_what_was_submitted(Verdict.REJECTED)
    world.courier.keep()
    assert world.left == 0
    [letter] = world.sqs.queues[DLQ].messages.values()
    assert letter.body == sent
    assert letter.attributes["error_code"]["StringValue"] == "gzip_invalid"
    assert letter.attributes["error"]["StringValue"] == "what happened"
    assert world.sqs.calls[-2:] == ["send_message", "delete_message_batch"]


def test_a_rejection_with_a_code_from_a_newer_loader_keeps_its_code(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    [file] = world.pipeline.files
    sent = settled((file,), Verdict.REJECTED).dump()
    sent["settlements"][0]["error_code"] = "invented_later"
    world.courier.settle(SettledParcel.read(sent))
    world.courier.keep()
    [letter] = world.sqs.queues[DLQ].messages.values()
    assert letter.attributes["error_code"]["StringValue"] == "invented_later"


@pytest.mark.parametrize("text", ["not json", "{}", body({"source": "aws.s3", "detail-type": "Object Created"})])
def test_what_is_no_event_goes_to_the_dead_letter_queue(world: World, text: str) -> None:
    world.send(text)
    world.courier.receive()
    world.courier.keep()
    assert world.left == 0
    [letter] = world.sqs.queues[DLQ].messages.values()
    assert letter.body == text
    assert letter.attributes["error_code"]["StringValue"] == "event_invalid"
    assert world.pipeline.files == []


@pytest.mark.parametrize("event", [{"Event": "s3:TestEvent"}, eventbridge(bucket="foreign"), eventbridge("incoming/x.txt")])
def test_what_is_not_ours_is_deleted(world: World, event: dict[str, Any]) -> None:
    world.send(event)
    world.courier.receive()
    world.courier.keep()
    assert (world.left, world.sqs.bodies(DLQ), world.pipeline.files) == (0, [], [])


def test_a_retry_is_held_and_submitted_again_without_another_receive(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    world.finish_what_was_submitted(Verdict.RETRY)
    world.courier.keep()
    assert world.pipeline.files == []
    world.clock.advance(1)
    world.courier.keep()
    assert [file.attempt for file in world.pipeline.files] == [1]
    [message] = world.sqs.queues[QUEUE].messages.values()
    assert message.receive_count == 1


def test_an_internal_error_costs_an_attempt_and_ends_in_the_dead_letter_queue(world: World) -> None:
    """It is no outage: held like one, a file that always fails so would keep its slot for hours."""
    world.send_files(1)
    for _ in range(MAX_RECEIVE_COUNT):
        world.courier.receive()
        [files], world.pipeline.parcels = world.pipeline.parcels, []
        failed = settled(files, Verdict.RETRY).settlements[0].model_copy(update={"error_code": "internal_error"})
        world.courier.settle(SettledParcel(parcel_id="", settlements=(failed,)))
        assert len(world.courier.in_flight) == 0
        world.courier.keep()
        world.clock.advance(LONGEST_BACK_S)
    world.courier.receive()
    assert (world.left, len(world.sqs.bodies(DLQ))) == (0, 1)


def test_an_hour_of_retries_burns_nothing(world: World) -> None:
    world.send_files(3)
    world.courier.receive()
    for _ in range(60):
        world.finish_what_was_submitted(Verdict.RETRY)
        for _ in range(6):
            world.clock.advance(10)
            world.courier.keep()
        assert world.courier.receive() == 0
    world.finish_what_was_submitted()
    world.courier.keep()
    assert (world.left, world.sqs.bodies(DLQ)) == (0, [])


def test_a_chain_that_failed_gives_its_messages_back_after_a_pause(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    [file] = world.pipeline.files
    world.fail(file)
    assert world.courier.wake.is_set()
    assert world.courier.room.is_set()
    world.courier.keep()
    assert len(world.courier.in_flight) == 0
    world.clock.advance(VISIBILITY_S / 4 - 1)
    assert world.sqs.visible(QUEUE) == []
    world.clock.advance(1)
    [visible] = world.sqs.visible(QUEUE)
    assert visible.receive_count == 1
    world.courier.receive()
    assert [each.attempt for each in world.pipeline.files] == [1, 2]


def test_a_chain_that_always_fails_ends_in_the_dead_letter_queue(world: World) -> None:
    world.send_files(1)
    for _ in range(MAX_RECEIVE_COUNT):
        assert world.courier.receive() == 1
        world.fail(world.pipeline.files[-1])
        world.courier.keep()
        world.clock.advance(LONGEST_BACK_S)
    assert world.courier.receive() == 0
    assert (world.left, len(world.sqs.bodies(DLQ))) == (0, 1)


def test_a_chain_that_failed_gives_back_all_of_its_messages_and_no_other(world: World) -> None:
    world.send_files(2)
    world.courier.receive()
    of_first_chain = [file.message_id for file in world.pipeline.files]
    world.send(eventbridge("incoming/orders/other.csv.gz.age", version="other"))
    world.courier.receive()
    other = world.pipeline.files[-1]
    world.fail(world.pipeline.files[0])
    world.courier.keep()
    world.clock.advance(VISIBILITY_S / 4)
    assert [message.message_id for message in world.sqs.visible(QUEUE)] == of_first_chain
    assert list(world.courier.in_flight.receipts()) == [other.message_id]


def test_a_late_failure_of_an_old_chain_leaves_the_newer_hold_alone(world: World) -> None:
    """The first chain passed its deadline, SQS sent the message again, and only then the first one's errback arrives."""
    world.send_files(1)
    world.courier.receive()
    [file] = world.pipeline.files
    old = world.pipeline.chain_of[file.message_id]
    world.clock.advance(DEADLINE_S + VISIBILITY_S)
    world.courier.keep()
    assert world.courier.receive() == 1
    world.courier.settle_failed(old)
    world.courier.keep()
    assert list(world.courier.in_flight.receipts()) == [file.message_id]
    assert world.sqs.visible(QUEUE) == []
    world.fail(file)
    world.courier.keep()
    assert len(world.courier.in_flight) == 0


def test_a_failure_of_the_chain_before_a_retry_leaves_the_retry_alone(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    [file] = world.pipeline.files
    old = world.pipeline.chain_of[file.message_id]
    world.finish_what_was_submitted(Verdict.RETRY)
    world.clock.advance(1)
    world.courier.keep()
    assert len(world.pipeline.files) == 1
    world.courier.settle_failed(old)
    world.courier.keep()
    assert list(world.courier.in_flight.receipts()) == [file.message_id]


# The broker


def test_receiving_waits_for_the_broker(world: World) -> None:
    world.broker.away = True
    world.courier.keep()
    assert not world.courier.broker_up.is_set()
    world.broker.away = False
    world.courier.keep()
    assert world.courier.broker_up.is_set()


def test_a_broker_that_leaves_pauses_receiving_and_is_told_again_when_back(world: World) -> None:
    world.courier.keep()
    world.broker.away = world.pipeline.away = True
    world.send_files(1)
    world.courier.receive()
    assert not world.courier.broker_up.is_set()
    assert len(world.courier.in_flight) == 1
    world.broker.away = world.pipeline.away = False
    world.clock.advance(1)
    world.courier.keep()
    assert world.courier.broker_up.is_set()
    assert len(world.pipeline.files) == 1


def test_an_hour_without_a_broker_burns_nothing(world: World) -> None:
    world.courier.keep()
    world.broker.away = world.pipeline.away = True
    world.send_files(3)
    world.courier.receive()
    for _ in range(360):
        world.clock.advance(10)
        world.courier.keep()
        assert world.sqs.visible(QUEUE) == []
    world.broker.away = world.pipeline.away = False
    world.clock.advance(60)
    world.courier.keep()
    assert sorted(file.attempt for file in world.pipeline.files) == [1, 1, 1]


def test_one_refused_parcel_is_enough_to_stop_trying(world: World) -> None:
    """A Redis that hangs costs its whole socket timeout a parcel; meanwhile no heartbeat leaves."""
    world.courier.keep()
    world.pipeline.away = True
    world.send(*(eventbridge(f"incoming/orders/{n}.csv.gz.age", size=world.settings.parcel_max_bytes + 1) for n in range(5)))
    world.courier.receive()
    assert world.pipeline.refused == 1
    world.pipeline.away = False
    world.clock.advance(1)
    world.courier.keep()
    world.courier.keep()
    assert len(world.pipeline.files) == 5


def test_a_broker_that_answers_but_takes_no_chain_is_away_until_it_takes_one(world: World) -> None:
    """Out of memory, or without a permission: each answer to a mere question would end the outage, and each parcel begin another."""
    world.send_files(2)
    world.pipeline.away = True
    world.courier.receive()
    with capture_logs() as logs:
        for _ in range(600):
            world.clock.advance(0.1)
            world.courier.keep()
        assert world.courier.is_paused
        assert 60 / LONGEST_PROBE_S <= world.pipeline.refused <= 60 / LONGEST_PROBE_S + 8
        world.pipeline.away = False
        world.clock.advance(LONGEST_PROBE_S)
        world.courier.keep()
        world.courier.keep()
    assert [line["event"] for line in logs if line.get("action") == "outage"] == ["back"]
    assert {file.message_id for file in world.pipeline.files} == world.courier.in_flight.receipts().keys()


def test_with_nothing_to_ask_by_an_answer_will_do(world: World) -> None:
    world.send_files(1)
    world.pipeline.away = True
    world.courier.receive()
    world.courier.in_flight.drop_all()
    for _ in range(3):
        world.clock.advance(LONGEST_PROBE_S)
        world.courier.keep()
    assert not world.courier.is_paused


def test_a_broker_that_forgot_is_told_everything_again(world: World) -> None:
    world.courier.keep()
    world.send_files(3)
    world.courier.receive()
    world.courier.keep()
    assert len(world.pipeline.files) == 3
    world.broker.memory.clear()
    world.courier.keep()
    assert len(world.pipeline.files) == 6
    world.courier.keep()
    assert len(world.pipeline.files) == 6


def test_a_poller_that_starts_on_an_empty_broker_has_nothing_to_tell(world: World) -> None:
    with capture_logs() as logs:
        world.courier.keep()
    assert not [line for line in logs if line["event"] == "broker_forgot"]


def test_a_file_settled_while_it_waits_for_its_submission_is_no_parcel(world: World) -> None:
    """A chain thought lost may still settle its files between `take_due` and `submit`."""
    world.courier.keep()
    world.send_files(1)
    world.courier.receive()
    [file] = world.pipeline.files
    world.broker.memory.clear()
    submit = world.pipeline.submit
    parcels: list[int] = []

    def late(group: Any) -> str:
        world.settle(file)
        parcels.append(sum(len(each.unsettled) for each in group))
        return submit(group)

    world.pipeline.submit = late  # type: ignore[method-assign]  # the other thread is faster, this once
    world.courier.keep()
    world.courier.keep()
    assert world.left == 0
    assert parcels == [0], "the real Pipeline must take an empty group, see test_poller_pipeline"


# Something else is away


def _statuses(logs: list[Any]) -> list[tuple[str, str]]:
    return [(line["event"], line["dependency"]) for line in logs if line["event"] in {"away", "back"}]


CODES = {
    Dependency.DATABASE: ErrorCode.DATABASE_UNAVAILABLE,
    Dependency.STORAGE: ErrorCode.STORAGE_UNAVAILABLE,
    Dependency.SPOOL: ErrorCode.SPOOL_UNAVAILABLE,
}


@pytest.mark.parametrize("dependency", CODES)
def test_an_hour_without_a_dependency_burns_nothing_and_is_over_within_ten_seconds(world: World, dependency: Dependency) -> None:
    world.send_files(20)
    world.courier.keep()
    world.courier.receive()
    with capture_logs() as logs:
        probes = _outage(world, CODES[dependency], seconds=3600)
        assert {message.receive_count for message in world.sqs.queues[QUEUE].messages.values()} <= {0, 1}
        back = world.clock.now
        while world.left:
            _second(world)
            assert world.clock.now - back <= 10
    assert world.sqs.bodies(DLQ) == []
    assert _statuses(logs) == [("away", dependency), ("back", dependency)]
    assert 3600 / LONGEST_PROBE_S / 2 <= probes <= 2 * 3600 / LONGEST_PROBE_S


def _second(world: World) -> int:
    """One second of a line that works; returns how many files were submitted."""
    world.clock.advance(1)
    world.courier.receive()
    world.courier.keep()
    submitted = len(world.pipeline.files)
    world.finish_what_was_submitted()
    world.courier.keep()
    return submitted


def _outage(world: World, code: ErrorCode, seconds: int, sick: frozenset[str] | None = None) -> int:
    """A line in which all files, or only the sick ones, fail by this code; returns how many were submitted."""
    submitted = 0
    for _ in range(seconds):
        parcels, world.pipeline.parcels = world.pipeline.parcels, []
        for file in (file for files in parcels for file in files):
            submitted += 1
            well = sick is not None and file.message_id not in sick
            world.courier.settle(SettledParcel(parcel_id="", settlements=(_fate(file, None if well else code),)))
        world.clock.advance(1)
        world.courier.receive()
        world.courier.keep()
    return submitted


def _fate(file: FileRef, code: ErrorCode | None) -> Settlement:
    done = settled((file,)).settlements[0]
    return done if code is None else done.model_copy(update={"verdict": Verdict.RETRY, "status": "failed", "error_code": code})


def test_in_an_outage_one_message_at_a_time_is_tried(world: World) -> None:
    world.send_files(8)
    world.courier.keep()
    world.courier.receive()
    world.finish_what_was_submitted(Verdict.RETRY)
    for _ in range(20):
        world.clock.advance(1)
        world.courier.keep()
    assert len({file.message_id for file in world.pipeline.files}) == len(world.pipeline.parcels) == 5
    assert world.courier.is_paused


@pytest.mark.parametrize("dependency", [Dependency.STORAGE, Dependency.SPOOL])
@pytest.mark.parametrize(("decrypted", "over"), [(False, False), (True, True), (None, True)])
def test_a_file_that_the_ledger_knew_does_not_end_an_outage_of_what_it_did_not_need(
    world: World, dependency: Dependency, decrypted: bool | None, over: bool
) -> None:
    """A repeated message of a file loaded long ago is done, though it could not be downloaded. None: an older loader says so."""
    world.send_files(3)
    world.courier.receive()
    known, *others = world.pipeline.files
    for file in others:
        world.courier.settle(SettledParcel(parcel_id="", settlements=(_fate(file, CODES[dependency]),)))
    assert world.courier.is_paused
    done = settled((known,)).settlements[0].model_copy(update={"decrypted": decrypted})
    world.courier.settle(SettledParcel(parcel_id="", settlements=(done,)))
    assert world.courier.is_paused is not over


def test_one_failure_is_no_outage(world: World) -> None:
    world.send_files(2)
    world.courier.receive()
    world.settle(world.pipeline.files[0], verdict=Verdict.RETRY)
    assert not world.courier.is_paused
    world.settle(world.pipeline.files[1])
    world.clock.advance(1)
    world.courier.keep()
    world.settle(world.pipeline.files[-1], verdict=Verdict.RETRY)
    assert not world.courier.is_paused, "another went through between the two"


def test_a_failure_that_speaks_of_no_dependency_stops_nobody(world: World) -> None:
    world.send_files(8)
    world.courier.receive()
    for file in world.pipeline.files:
        world.courier.settle(SettledParcel(parcel_id="", settlements=(_fate(file, ErrorCode.TIMEOUT),)))
    assert not world.courier.is_paused


@pytest.mark.parametrize("code", [ErrorCode.STORAGE_UNAVAILABLE, ErrorCode.TIMEOUT])
def test_files_that_are_sick_themselves_do_not_stop_the_line_and_end_in_the_dead_letter_queue(world: World, code: ErrorCode) -> None:
    """Two of them in a row look like an outage; then the next message, or one received as a witness, shows that it is none."""
    world.send_files(2)
    sick = frozenset(world.sqs.queues[QUEUE].messages)
    for n in range(600):
        world.send(eventbridge(f"incoming/orders/well-{n}.csv.gz.age"))
        _outage(world, code, seconds=20, sick=sick)
        well = world.sqs.queues[QUEUE].messages.keys() - sick
        assert len(well) <= 1, "nobody waits for the sick"
        if len(world.sqs.bodies(DLQ)) == 2:
            break
    hours = (world.clock.now - 1_000) / 3600
    assert set(world.sqs.queues[DLQ].messages) == sick
    assert 1 < hours < 4


def test_a_sick_file_alone_in_the_night_is_held_for_hours_not_sent_to_the_dead_letter_queue(world: World) -> None:
    world.send_files(1)
    _outage(world, ErrorCode.STORAGE_UNAVAILABLE, seconds=4 * 3600)
    [message] = world.sqs.queues[QUEUE].messages.values()
    assert message.receive_count == 1


def test_a_rejection_does_not_prove_that_s3_is_there(world: World) -> None:
    world.send_files(3)
    world.courier.receive()
    first, second, third = world.pipeline.files
    for file in (first, second):
        world.courier.settle(SettledParcel(parcel_id="", settlements=(_fate(file, ErrorCode.STORAGE_UNAVAILABLE),)))
    world.settle(third, verdict=Verdict.REJECTED)
    assert world.courier.is_paused


def _two_rounds_of_probes(world: World) -> tuple[list[int], list[str]]:
    """After a fresh outage with two messages held: how many arrived at each receive, and what was probed in which order."""
    arrived, probed = [], []
    while len(probed) < 5:
        world.clock.advance(1)
        world.courier.keep()
        probed += [file.message_id for file in world.pipeline.files]
        world.finish_what_was_submitted(Verdict.RETRY)
        arrived.append(world.courier.receive())
    return arrived, probed


def test_one_witness_is_received_each_time_that_all_have_tried_in_vain(world: World) -> None:
    world.send_files(2)
    world.courier.receive()
    world.finish_what_was_submitted(Verdict.RETRY)
    world.send_files(5)
    arrived, probed = _two_rounds_of_probes(world)
    first, second, witness = list(world.sqs.queues[QUEUE].messages)[:3]
    assert [number for number in arrived if number] == [1, 1]
    assert (sorted(probed[:2]), probed[2]) == ([first, second], witness)
    assert sorted(probed[2:]) == [first, second, witness], "only after another whole round the next one comes"
    assert [message.receive_count for message in world.sqs.queues[QUEUE].messages.values()] == [1] * 4 + [0] * 3


def test_nobody_waits_any_longer_once_a_probe_went_through(world: World) -> None:
    world.send_files(3)
    world.courier.receive()
    files = list(world.pipeline.files)
    world.pipeline.parcels.clear()
    world.settle(*files[1:], verdict=Verdict.RETRY)
    world.courier.keep()
    assert world.pipeline.files == []
    world.settle(files[0])
    assert world.courier.room.is_set()
    assert world.courier.wake.is_set()
    world.courier.keep()
    assert world.pipeline.files == files[1:]


def test_sqs_away_is_said_once_each_way_and_stops_no_settling(world: World) -> None:
    world.sqs.outages |= {"receive_message": 3, "delete_message_batch": 2}
    world.send("not an event of ours", {"Event": "s3:TestEvent"})
    with capture_logs() as logs:
        for _ in range(6):
            with contextlib.suppress(*SQS_ERRORS):
                world.courier.receive()
            _keep_despite(world, SQS_ERRORS)
    assert _statuses(logs) == [("away", "sqs"), ("back", "sqs"), ("away", "sqs settling"), ("back", "sqs settling")]
    assert world.left == 0


def test_sqs_is_looked_for_without_a_long_poll(world: World) -> None:
    waits: list[int] = []
    receive: Callable[..., dict[str, Any]] = world.sqs.receive_message

    def noting(**request: Any) -> dict[str, Any]:
        waits.append(request["WaitTimeSeconds"])
        return receive(**request)

    world.sqs.receive_message = noting  # type: ignore[method-assign]  # to know how long it may wait
    world.sqs.outages["receive_message"] = 2
    for _ in range(4):
        with contextlib.suppress(*SQS_ERRORS):
            world.courier.receive()
    assert waits == [world.settings.receive_wait, 0, 0, world.settings.receive_wait]


def test_a_message_is_given_up_before_sqs_takes_it_away(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    world.finish_what_was_submitted(Verdict.RETRY)
    held_for = 0.0
    while len(world.courier.in_flight):
        world.clock.advance(HEARTBEAT_S)
        held_for += HEARTBEAT_S
        world.courier.keep()
        world.finish_what_was_submitted(Verdict.RETRY)
    assert 11.5 * 3600 <= held_for < 11.6 * 3600
    assert world.left == 1


# Nobody works


def test_workers_away_for_hours_cost_each_message_one_receive_at_the_most(world: World) -> None:
    world.workers = False
    world.send_files(12)
    world.courier.keep()
    with capture_logs() as logs:
        for _ in range(3 * 3600 // 10):
            world.clock.advance(10)
            world.courier.receive()
            world.courier.keep()
        assert {message.receive_count for message in world.sqs.queues[QUEUE].messages.values()} == {0, 1}
        world.workers, back = True, world.clock.now
        world.pipeline.parcels.clear()
        while world.left:
            _second(world)
            assert world.clock.now - back <= 10
    assert world.sqs.bodies(DLQ) == []
    assert _statuses(logs) == [("away", Dependency.WORKERS), ("back", Dependency.WORKERS)]


def test_nobody_asks_for_the_workers_while_no_chain_is_overdue(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    for _ in range(20):
        world.clock.advance(DEADLINE_S / 21)
        world.courier.keep()
    assert world.asked == 0


def test_workers_that_answer_may_still_have_lost_a_chain(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    world.clock.advance(DEADLINE_S + 1)
    world.courier.receive()
    world.courier.keep()
    assert world.asked == 1
    assert [file.attempt for file in world.pipeline.files] == [1, 1]
    assert (len(world.courier.in_flight), world.courier.is_paused) == (1, False)


def test_a_settlement_proves_that_somebody_works(world: World) -> None:
    world.workers = False
    world.send_files(2)
    world.courier.receive()
    first = world.pipeline.files[0]
    world.clock.advance(DEADLINE_S + 1)
    world.courier.receive()
    world.courier.keep()
    assert world.courier.is_paused
    world.settle(first)
    assert not world.courier.is_paused


@pytest.mark.parametrize("away", [Dependency.WORKERS, Dependency.BROKER])
def test_nothing_is_submitted_that_nobody_would_take(world: World, away: Dependency) -> None:
    world.send_files(1)
    world.courier.outages.failed(away, "")
    world.courier.submit_due()
    world.courier._accept(Message("m", "handle#", body(eventbridge()), 1))
    world.courier.submit_due()
    assert world.pipeline.files == []
    world.courier.outages.worked(away)
    world.courier.submit_due()
    assert len(world.pipeline.files) == 1


def test_without_redis_nobody_is_blamed_for_a_chain_that_is_overdue(world: World) -> None:
    world.send_files(1)
    world.courier.keep()
    world.courier.receive()
    world.broker.away = world.pipeline.away = True
    for _ in range(200):
        world.clock.advance(10)
        world.courier.keep()
    assert len(world.courier.in_flight) == 1
    world.broker.away = world.pipeline.away = False
    world.courier.keep()
    assert len(world.courier.in_flight) == 1, "its deadline starts again: nobody could have settled it"


def test_redis_that_leaves_between_the_look_and_the_question_leaves_it_open(world: World) -> None:
    world.workers = OperationalError("connection refused")
    world.send_files(1)
    world.courier.receive()
    world.clock.advance(DEADLINE_S + 1)
    world.courier.receive()
    world.courier.keep()
    assert len(world.courier.in_flight) == 1
    assert not world.courier.broker_up.is_set()


# A payload that is too new


def test_a_payload_that_is_too_new_waits_minutes_for_workers_that_understand_it(world: World) -> None:
    """Handed back at once, five receives would be burnt before the first worker is replaced."""
    world.send_files(1)
    started = world.clock.now
    attempts = 0
    while not world.sqs.bodies(DLQ):
        world.courier.receive()
        for file in world.pipeline.files[attempts:]:
            attempts += 1
            world.fail(file)
        world.courier.keep()
        world.clock.advance(1)
    assert attempts == MAX_RECEIVE_COUNT
    assert world.clock.now - started > 5 * 60


def test_a_payload_that_was_too_new_loads_once_the_workers_are_replaced(world: World) -> None:
    world.send_files(1)
    for _ in range(MAX_RECEIVE_COUNT - 1):
        world.courier.receive()
        world.fail(world.pipeline.files[-1])
        world.courier.keep()
        world.clock.advance(LONGEST_BACK_S)
    _second(world)
    assert (world.left, world.sqs.bodies(DLQ)) == (0, [])


# The heartbeat


def test_the_heartbeat_keeps_a_message_for_hours(world: World) -> None:
    world.send(eventbridge(size=30_000_000_000))
    world.courier.receive()
    for _ in range(3 * 90):
        world.clock.advance(HEARTBEAT_S)
        world.courier.keep()
        assert world.sqs.visible(QUEUE) == []


def test_the_heartbeat_is_not_sent_in_every_round(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    for _ in range(10):
        world.clock.advance(HEARTBEAT_S / 10 - 0.01)
        world.courier.keep()
    assert world.sqs.calls.count("change_message_visibility_batch") == 1


def test_the_failure_of_an_older_chain_is_not_told(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    with capture_logs() as logs:
        world.courier.settle_failed("older")
    assert logs == []
    assert len(world.courier.in_flight) == 1


def test_a_chain_that_nobody_has_at_its_deadline_is_submitted_again_before_it_goes_back_to_sqs(world: World) -> None:
    """It waits in a long line, or was lost: neither is an attempt at the file."""
    world.send_files(1)
    world.courier.receive()
    for _ in range(MOST_WAITS * (round(DEADLINE_S / HEARTBEAT_S) + 1)):
        world.clock.advance(HEARTBEAT_S)
        world.courier.keep()
    assert [file.attempt for file in world.pipeline.files] == [1] * (MOST_WAITS + 1)
    for _ in range(20):
        world.clock.advance(HEARTBEAT_S)
        world.courier.keep()
    assert len(world.courier.in_flight) == 0
    assert world.courier.receive() == 1
    assert [file.attempt for file in world.pipeline.files] == [1] * (MOST_WAITS + 1) + [2]


def test_a_message_that_sqs_refuses_to_extend_is_let_go(world: World) -> None:
    world.send_files(2)
    world.courier.receive()
    first = next(iter(world.sqs.queues[QUEUE].messages))
    del world.sqs.queues[QUEUE].messages[first]
    world.courier.keep()
    assert list(world.courier.in_flight.receipts()) == [world.pipeline.files[1].message_id]


def test_a_message_received_anew_while_its_old_handle_is_refused_stays_held(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.send_files(1)
    world.courier.receive()
    world.clock.advance(VISIBILITY_S + 1)
    change = world.sqs.change_message_visibility_batch

    def receive_meanwhile(**request: Any) -> dict[str, Any]:
        answer = change(**request)
        monkeypatch.undo()
        assert world.courier.receive() == 1
        return answer

    monkeypatch.setattr(world.sqs, "change_message_visibility_batch", receive_meanwhile)
    world.courier.keep()
    assert len(world.courier.in_flight) == 1
    world.courier.keep()
    assert world.sqs.visible(QUEUE) == []


# SQS away, in the middle of things


@pytest.mark.parametrize("call", ["send_message", "delete_message_batch", "change_message_visibility_batch"])
@pytest.mark.parametrize("verdict", [Verdict.DONE, Verdict.REJECTED])
def test_sqs_away_in_the_middle_of_flush_loses_nothing(world: World, call: str, verdict: Verdict) -> None:
    world.send_files(3)
    world.courier.receive()
    world.finish_what_was_submitted(verdict)
    world.sqs.outages[call] = 1
    for _ in range(4):
        _keep_despite(world, SQS_ERRORS)
        world.clock.advance(VISIBILITY_S + 1)
        world.courier.receive()
        world.finish_what_was_submitted(verdict)
    _keep_despite(world, ())
    assert world.left == 0
    letters = set(world.sqs.bodies(DLQ))
    assert len(letters) == (3 if verdict is Verdict.REJECTED else 0)


def _keep_despite(world: World, errors: tuple[type[Exception], ...]) -> None:
    with contextlib.suppress(*errors):
        world.courier.keep()


def test_a_poller_killed_between_the_dead_letter_and_the_delete_doubles_the_letter_at_worst(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    world.finish_what_was_submitted(Verdict.REJECTED)
    world.sqs.outages["delete_message_batch"] = 1
    with pytest.raises(SQS_ERRORS):
        world.courier.flush()
    world.courier = world.new_courier()
    world.clock.advance(VISIBILITY_S + 1)
    world.courier.receive()
    world.finish_what_was_submitted(Verdict.REJECTED)
    world.courier.keep()
    assert world.left == 0
    assert len(world.sqs.bodies(DLQ)) == 2


def test_what_could_not_be_deleted_is_deleted_later_by_the_same_poller(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    world.finish_what_was_submitted()
    world.sqs.outages["delete_message_batch"] = 1
    with pytest.raises(SQS_ERRORS):
        world.courier.keep()
    world.courier.keep()
    assert world.left == 0, "not only after a visibility timeout and another receive"


def test_what_could_not_be_released_is_released_later(world: World) -> None:
    world.send_files(1)
    world.courier.receive()
    world.fail(world.pipeline.files[0])
    world.sqs.outages["change_message_visibility_batch"] = 1
    with pytest.raises(SQS_ERRORS):
        world.courier.keep()
    world.courier.keep()
    world.clock.advance(VISIBILITY_S / 4)
    assert len(world.sqs.visible(QUEUE)) == 1


def test_a_dead_letter_queue_that_is_away_stops_neither_heartbeat_nor_deletes(world: World) -> None:
    world.send_files(3)
    world.courier.receive()
    rejected, done, working = world.pipeline.files
    world.settle(rejected, verdict=Verdict.REJECTED)
    world.settle(done)
    world.sqs.outages["send_message"] = 1_000
    for _ in range(10):
        _keep_despite(world, SQS_ERRORS)
        world.clock.advance(HEARTBEAT_S)
    assert working.message_id not in {message.message_id for message in world.sqs.visible(QUEUE)}
    assert done.message_id not in world.sqs.queues[QUEUE].messages


def test_a_dead_letter_that_sqs_never_takes_holds_nobody_up(world: World) -> None:
    """A body of the full 1 MiB has no room left for the error's attributes."""
    world.send("x" * LARGEST_MESSAGE)
    world.send_files(1)
    world.courier.receive()
    world.finish_what_was_submitted()
    for _ in range(3):
        _keep_despite(world, SQS_ERRORS)
    assert [text for text in world.sqs.bodies(QUEUE) if len(text) < LARGEST_MESSAGE] == []


def test_a_dead_letter_that_sqs_never_takes_is_forgotten_once_sqs_has_moved_it(world: World) -> None:
    """Each failing round ends in a pause, for all other files too."""
    world.send("x" * LARGEST_MESSAGE)
    for _ in range(MAX_RECEIVE_COUNT + 1):
        world.courier.receive()
        _keep_despite(world, SQS_ERRORS)
        world.clock.advance(LONGEST_BACK_S)
    assert (world.left, len(world.sqs.bodies(DLQ))) == (0, 1)
    world.courier.keep()


# The end, and a new beginning


def test_hand_back_makes_everything_held_visible_again(world: World) -> None:
    world.send_files(8)
    world.courier.receive()
    world.settle(world.pipeline.files[0])
    world.courier.hand_back()
    world.courier.flush()
    assert len(world.courier.in_flight) == 0
    assert len(world.sqs.visible(QUEUE)) == 7


def test_hand_back_of_nothing_calls_nothing(world: World) -> None:
    world.courier.hand_back()
    assert world.sqs.calls == []


def test_a_poller_that_died_is_replaced_after_a_visibility_timeout(world: World) -> None:
    world.send_files(3)
    world.courier.receive()
    old = world.pipeline.files
    world.courier = world.new_courier()
    world.clock.advance(VISIBILITY_S + 1)
    world.courier.receive()
    assert sorted(file.file_id for file in world.pipeline.files) == sorted(file.file_id for file in [*old, *old])
    world.settle(*old)
    world.courier.keep()
    assert world.left == 0, "the old chain's settlement serves the new holder: same message, same file"


# What is logged


def _whole_life(world: World) -> None:
    world.courier.keep()
    world.send_files(2)
    world.send("not json secret-body")
    world.courier.receive()
    done, rejected = world.pipeline.files
    world.settle(done)
    world.settle(rejected, verdict=Verdict.REJECTED)
    world.courier.keep()


def test_every_log_line_has_its_action_and_none_a_receipt_handle(world: World) -> None:
    handles: list[str] = []
    receive: Callable[..., dict[str, Any]] = world.sqs.receive_message

    def noting(**request: Any) -> dict[str, Any]:
        answer = receive(**request)
        handles.extend(message["ReceiptHandle"] for message in answer.get("Messages", []))
        return answer

    world.sqs.receive_message = noting  # type: ignore[method-assign]  # to know the handles
    with capture_logs() as logs:
        _whole_life(world)
    assert len(handles) == 3
    assert {line["event"] for line in logs} >= {"received", "submitted", "settled", "event_invalid"}
    assert all(line.get("action") for line in logs)
    assert not [handle for handle in handles if handle in str(logs)]
    assert "secret-body" not in str(logs)
