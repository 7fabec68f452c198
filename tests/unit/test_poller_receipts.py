"""Receipts: a message goes only when the sender was told what the ledger says, and no refusal of S3's holds it for ever."""

import pytest
from structlog.testing import capture_logs

from fakes.clock import Clock
from fakes.line import FakeBroker, FakePipeline, body, eventbridge, native, native_record, problem, receipt, settlement
from fakes.poller import DLQ, QUEUE, courier, queues, settings
from poller.tidying import NO_RECEIPT, NO_REJECTS
from shared.contract import AfterLoad, Chore, FileRef, Problem, Receipt, SettledParcel, Settlement, Tidied, Verdict
from shared.errors import ErrorCode
from shared.protocol import LONGEST_PROBE_S, TIDY_TRIES, Dependency

REFUSED = problem(ErrorCode.RECEIPT_REFUSED, retry=True)
AWAY = problem(ErrorCode.STORAGE_UNAVAILABLE, retry=True)


class World:
    """One poller between SQS and workers that the test plays."""

    def __init__(self) -> None:
        self.clock, self.broker, self.pipeline = Clock(), FakeBroker(), FakePipeline()
        self.sqs = queues(self.clock)
        self.courier = courier(settings(task_deadline=600), self.sqs, self.pipeline, self.broker, self.clock, chance=lambda: 1.0)
        self.courier.keep()

    def receive(self, name: str = "a") -> FileRef:
        """What is submitted of a new file."""
        self.sqs.send_message(QueueUrl=QUEUE, MessageBody=body(eventbridge(f"incoming/orders/{name}.csv.gz.age", version=name)))
        self.courier.receive()
        return self.pipeline.files[-1]

    def load(
        self,
        file: FileRef,
        told: Receipt | None,
        verdict: Verdict = Verdict.DONE,
        after_load: str | None = None,
        *,
        returned: str | None = None,
    ) -> None:
        """The loader reports, and the poller does what there is to do."""
        made = settlement(file, verdict, after_load).model_copy(update={"receipt": told, "returned": returned})
        self.courier.settle(SettledParcel(parcel_id="", settlements=(Settlement.read(made.dump()),)))
        self.courier.keep()

    def tell(
        self,
        trouble: Problem | None = None,
        *,
        also: str | None = None,
        receipt: str | None = "the one",
        of: int = -1,
        returned: bool = False,
    ) -> None:
        """A decryptor reports of chores, and the poller does what there is to do."""
        parcel_id, chores = self.pipeline.chores[of]
        done = tuple(
            Tidied(
                message_id=chore.file.message_id,
                file_id=chore.file.file_id,
                receipt=chore.receipt.name if receipt and chore.receipt else None,
                returned=returned,
                problem=trouble,
                also=also,
            )
            for chore in chores
        )
        self._report(parcel_id, done)

    def tell_each(self, *troubles: Problem | None) -> None:
        """The same of the newest chain, of each chore what it says."""
        parcel_id, chores = self.pipeline.chores[-1]
        told = [(chore.file, chore.receipt and chore.receipt.name, trouble) for chore, trouble in zip(chores, troubles, strict=True)]
        self._report(
            parcel_id,
            tuple(Tidied(message_id=file.message_id, file_id=file.file_id, receipt=name, problem=trouble) for file, name, trouble in told),
        )

    def _report(self, parcel_id: str, done: tuple[Tidied, ...]) -> None:
        self.courier.settle(SettledParcel(parcel_id=parcel_id, settlements=(), tidied=done))
        self.courier.keep()

    def chores(self) -> list[Chore]:
        """All that was submitted."""
        return [chore for _, chores in self.pipeline.chores for chore in chores]

    @property
    def left(self) -> int:
        """Messages in the queue, visible or not."""
        return len(self.sqs.bodies(QUEUE))

    def counted(self, name: str = "receipts") -> dict[str, float]:
        """By the error code for which it was given up."""
        [family] = [family for family in self.courier.metrics.registry.collect() if family.name == f"hikyaku_{name}"]
        return {sample.labels["error_code"]: sample.value for sample in family.samples if sample.value and sample.name.endswith("_total")}


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("verdict", [Verdict.DONE, Verdict.REJECTED])
def test_the_message_goes_only_when_its_receipt_is_put_and_a_rejected_one_to_the_dead_letters(world: World, verdict: Verdict) -> None:
    file = world.receive()
    told = receipt(file, "rejected" if verdict is Verdict.REJECTED else "loaded")
    world.load(file, told, verdict)
    assert world.chores() == [Chore(file=file, after_load=AfterLoad.KEEP, receipt=told)]
    assert (world.left, world.sqs.bodies(DLQ)) == (1, [])
    world.tell()
    assert (world.left, len(world.sqs.bodies(DLQ))) == (0, int(verdict is Verdict.REJECTED))
    assert (world.counted(), world.counted("objects_tidied")) == ({"": 1}, {})


def test_a_receipt_and_an_object_are_one_chore(world: World) -> None:
    file = world.receive()
    world.load(file, receipt(file), after_load=AfterLoad.TAG)
    assert [(chore.after_load, chore.receipt is not None) for chore in world.chores()] == [("tag", True)]
    world.tell()
    assert (world.counted(), world.counted("objects_tidied"), world.left) == ({"": 1}, {"": 1}, 0)


def test_the_keeper_is_woken_for_it(world: World) -> None:
    file = world.receive()
    world.courier.wake.clear()
    made = settlement(file).model_copy(update={"receipt": receipt(file)})
    world.courier.settle(SettledParcel(parcel_id="", settlements=(made,)))
    assert world.courier.wake.is_set()


@pytest.mark.parametrize("verdict", [Verdict.DONE, Verdict.REJECTED])
def test_what_s3_refuses_is_left_out_in_the_end_and_said(world: World, verdict: Verdict) -> None:
    file = world.receive()
    world.load(file, receipt(file), verdict)
    with capture_logs() as logs:
        for tries in range(1, TIDY_TRIES + 1):
            assert len(world.chores()) == tries
            world.tell(REFUSED)
            world.clock.advance(2)
            world.courier.keep()
    [said] = [log for log in logs if log["event"] == "receipt_left_out"]
    assert (said["key"], said["error_code"], said["log_level"]) == (file.key, "receipt_refused", "warning")
    assert not [log for log in logs if log["event"] == "left_in_s3"]
    assert (world.left, len(world.sqs.bodies(DLQ))) == (0, int(verdict is Verdict.REJECTED))
    assert world.counted() == {"receipt_refused": 1}


@pytest.mark.parametrize(
    ("code", "receipts", "objects", "said"),
    [
        (ErrorCode.RECEIPT_REFUSED, {"receipt_refused": 1}, {"": 1}, ["receipt_left_out"]),
        (ErrorCode.TIDY_REFUSED, {"": 1}, {"tidy_refused": 1}, ["left_in_s3"]),
        (ErrorCode.INTERNAL_ERROR, {"internal_error": 1}, {"internal_error": 1}, ["receipt_left_out", "left_in_s3"]),
    ],
)
def test_what_is_refused_of_one_half_is_not_held_against_the_other(
    world: World, code: ErrorCode, receipts: dict[str, float], objects: dict[str, float], said: list[str]
) -> None:
    file = world.receive()
    world.load(file, receipt(file), after_load=AfterLoad.DELETE)
    with capture_logs() as logs:
        world.tell(problem(code))
    assert (world.counted(), world.counted("objects_tidied"), world.left) == (receipts, objects, 0)
    assert [log["event"] for log in logs if log["event"] in {"receipt_left_out", "left_in_s3"}] == said


def test_both_halves_may_be_refused_and_both_are_said(world: World) -> None:
    file = world.receive()
    world.load(file, receipt(file), after_load=AfterLoad.DELETE)
    with capture_logs() as logs:
        world.tell(problem(ErrorCode.RECEIPT_REFUSED), also=ErrorCode.TIDY_REFUSED)
    assert (world.counted(), world.counted("objects_tidied")) == ({"receipt_refused": 1}, {"tidy_refused": 1})
    assert [log["event"] for log in logs if log["event"] in {"receipt_left_out", "left_in_s3"}] == ["receipt_left_out", "left_in_s3"]


def test_s3_away_is_an_outage_and_costs_no_receipt(world: World) -> None:
    files = [world.receive(name) for name in "ab"]
    for file in files:
        world.load(file, receipt(file))
    for of in range(2):
        world.tell(AWAY, of=of)
    assert world.courier.outages.away(Dependency.STORAGE)
    for _ in range(20 * TIDY_TRIES):
        world.clock.advance(LONGEST_PROBE_S)
        world.courier.keep()
        world.tell(AWAY)
    assert world.left == 2
    for _ in range(4):
        world.clock.advance(LONGEST_PROBE_S)
        world.courier.keep()
        world.tell()
    assert (world.left, world.counted()) == (0, {"": 2})


def test_an_older_decryptor_that_sees_no_receipt_is_found_out(world: World) -> None:
    """It tags the object and says that all is done."""
    file = world.receive()
    world.load(file, receipt(file), after_load=AfterLoad.TAG)
    with capture_logs() as logs:
        world.tell(receipt=None)
    assert [log["error_code"] for log in logs if log["event"] == "receipt_left_out"] == [NO_RECEIPT.error_code]
    assert (world.left, world.counted(), world.counted("objects_tidied")) == (0, {"receipt_refused": 1}, {"": 1})


def test_an_older_decryptor_that_refuses_a_receipt_alone_is_found_out(world: World) -> None:
    """Else it would count as put: what is refused of an object says nothing against a receipt, where there is an object to see to."""
    file = world.receive()
    world.load(file, receipt(file))
    with capture_logs() as logs:
        world.tell(problem(ErrorCode.TIDY_REFUSED), receipt=None)
    assert [log["error_code"] for log in logs if log["event"] == "receipt_left_out"] == [NO_RECEIPT.error_code]
    assert (world.left, world.counted(), world.counted("objects_tidied")) == (0, {"receipt_refused": 1}, {})


def test_records_come_back_with_the_receipt(world: World) -> None:
    file = world.receive()
    world.load(file, receipt(file), returned="cm93cw==")
    assert [chore.returned for chore in world.chores()] == ["cm93cw=="]
    world.tell(returned=True)
    assert (world.left, world.counted()) == (0, {"": 1})


def test_an_older_decryptor_that_sees_no_records_is_found_out(world: World) -> None:
    """It puts the receipt, which says of no records either."""
    file = world.receive()
    world.load(file, receipt(file), returned="cm93cw==")
    with capture_logs() as logs:
        world.tell()
    assert [log["error_code"] for log in logs if log["event"] == "receipt_left_out"] == [NO_REJECTS.error_code]
    assert (world.left, world.counted()) == (0, {"receipt_refused": 1})


def test_a_receipt_of_what_was_the_fate_before_is_not_taken_for_the_one_that_is_due(world: World) -> None:
    file = world.receive()
    world.load(file, receipt(file, "rejected"), Verdict.REJECTED)
    # An older chain ends late: it was loaded after all.
    world.load(file, receipt(file, "loaded", committed=1))
    assert len(world.chores()) == 1, "one is under way"
    world.tell()
    assert (world.left, [chore.receipt and chore.receipt.status for chore in world.chores()]) == (1, ["rejected", "loaded"])
    # Told twice of the old one: the new one is under way, and is not submitted for it.
    world.tell(of=0)
    assert (world.left, len(world.chores())) == (1, 2)
    world.tell()
    assert (world.left, world.sqs.bodies(DLQ), world.counted()) == (0, [], {"": 1})


def test_a_receipt_that_was_put_is_put_again_when_the_fate_changes_while_another_file_holds_the_message(world: World) -> None:
    keys = [f"incoming/orders/{name}.csv.gz.age" for name in "ab"]
    world.sqs.send_message(QueueUrl=QUEUE, MessageBody=body(native(*(native_record(key, version=key) for key in keys))))
    world.courier.receive()
    first, second = world.pipeline.files
    world.load(first, receipt(first, "rejected"), Verdict.REJECTED)
    world.load(second, receipt(second))
    world.tell_each(None, REFUSED)
    # An older chain ends late: it was loaded after all.
    world.load(first, receipt(first, "loaded", committed=1))
    assert [(chore.file, chore.receipt and chore.receipt.status) for chore in world.chores()[2:]] == [(first, "loaded"), (second, "loaded")]
    world.tell()
    assert (world.left, world.sqs.bodies(DLQ), world.counted()) == (0, [], {"": 2})


def test_an_older_loader_hands_on_none_and_the_message_goes_at_once(world: World) -> None:
    world.load(world.receive(), None)
    assert (world.chores(), world.left, world.counted()) == ([], 0, {})


def test_payloads_without_a_receipt_are_understood() -> None:
    file = {"bucket": "b", "key": "k", "version_id": "v", "size": 1, "event_time": "t", "received_at": "t", "message_id": "m"}
    assert Chore.read({"file": file, "after_load": "tag", "returned": None}) == Chore.read({"file": file, "after_load": "tag"})
    assert Chore.read({"file": file, "after_load": "tag"}).receipt is None
    assert Tidied.read({"message_id": "m", "file_id": "f"}).receipt is None
    assert Settlement.read({"message_id": "m", "file_id": "f", "verdict": "done", "status": "loaded"}).receipt is None
