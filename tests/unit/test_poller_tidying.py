"""After the load: the object is tagged or deleted before SQS forgets the message, and no refusal of S3's holds a loaded file for ever."""

import pytest
from structlog.testing import capture_logs

from fakes.clock import Clock
from fakes.line import FakeBroker, FakePipeline, body, eventbridge, native, native_record, problem, settled, settlement, tidied
from fakes.poller import DLQ, QUEUE, courier, queues, settings
from shared.contract import AfterLoad, FileRef, Problem, SettledParcel, Sibling, Verdict
from shared.errors import ErrorCode
from shared.protocol import LONGEST_PROBE_S, MOST_OWN_FAILURES, TIDY_TRIES, Dependency

DEADLINE_S = 600
HEARTBEAT_S = 40
TAG, DELETE = AfterLoad.TAG, AfterLoad.DELETE
REFUSED = problem(ErrorCode.TIDY_REFUSED, retry=True)
AWAY = problem(ErrorCode.STORAGE_UNAVAILABLE, retry=True)


class World:
    """One poller between SQS and workers that the test plays."""

    def __init__(self) -> None:
        self.clock, self.broker, self.pipeline = Clock(), FakeBroker(), FakePipeline()
        self.sqs = queues(self.clock)
        self.workers = True
        self.start()

    def start(self) -> None:
        """A poller that remembers nothing."""
        given, how = settings(task_deadline=DEADLINE_S), {"workers_answer": lambda: self.workers, "chance": lambda: 1.0}
        self.courier = courier(given, self.sqs, self.pipeline, self.broker, self.clock, **how)
        self.courier.keep()

    def receive(self, *names: str) -> list[FileRef]:
        """What is submitted of new files with these names."""
        before = len(self.pipeline.files)
        for name in names:
            self.sqs.send_message(QueueUrl=QUEUE, MessageBody=body(eventbridge(f"incoming/orders/{name}.csv.gz.age", version=name)))
        self.courier.receive()
        return self.pipeline.files[before:]

    def load(self, *files: FileRef, after_load: str | None = DELETE, verdict: Verdict = Verdict.DONE) -> None:
        """The loader reports, and the poller does what there is to do."""
        self.courier.settle(settled(files, verdict, after_load))
        self.courier.keep()

    def fail(self, file: FileRef, code: ErrorCode = ErrorCode.DATABASE_UNAVAILABLE) -> None:
        """The loader reports a failure."""
        told = settlement(file, Verdict.RETRY).model_copy(update={"error_code": code})
        self.courier.settle(SettledParcel(parcel_id="", settlements=(told,)))
        self.courier.keep()

    def tidy(self, problem: Problem | None = None) -> None:
        """The decryptor reports of the newest chores, and the poller does what there is to do."""
        parcel_id, chores = self.pipeline.chores[-1]
        self.courier.settle(tidied(parcel_id, tuple(chore.file for chore in chores), problem))
        self.courier.keep()

    def chores(self) -> list[tuple[str, str]]:
        """Key and wish of all that was submitted."""
        return [(chore.file.key, chore.after_load) for _, chores in self.pipeline.chores for chore in chores]

    def wait(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.advance(min(HEARTBEAT_S, end - self.clock.now))
            self.courier.keep()

    @property
    def left(self) -> int:
        """Messages in the queue, visible or not."""
        return len(self.sqs.bodies(QUEUE))

    @property
    def counted(self) -> dict[str, float]:
        """By the error code for which an object was given up."""
        [family] = [family for family in self.courier.metrics.registry.collect() if family.name == "hikyaku_objects_tidied"]
        return {sample.labels["error_code"]: sample.value for sample in family.samples if sample.value and sample.name.endswith("_total")}


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("wish", [TAG, DELETE, "something newer"])
def test_the_message_goes_only_when_its_object_is_seen_to(world: World, wish: str) -> None:
    [file] = world.receive("a")
    world.load(file, after_load=wish)
    assert (world.chores(), world.left) == ([(file.key, wish)], 1)
    world.tidy()
    assert (world.left, world.sqs.bodies(DLQ), len(world.courier.in_flight)) == (0, [], 0)
    assert world.counted == {"": 1}


def test_a_file_whose_dataset_wishes_nothing_settles_at_once(world: World) -> None:
    world.load(*world.receive("a"), after_load=None)
    assert (world.chores(), world.left, world.counted) == ([], 0, {})


def test_the_keeper_is_woken_for_it(world: World) -> None:
    [file] = world.receive("a")
    world.courier.wake.clear()
    world.courier.settle(settled((file,), after_load=TAG))
    assert world.courier.wake.is_set()


def test_a_poller_that_dies_before_it_or_behind_it_does_it_again(world: World) -> None:
    for death in ("before the chore is done", "before the message is deleted"):
        [file] = world.receive(*([] if world.left else ["a"]))
        world.load(file)
        if death == "before the message is deleted":
            # SQS is told in the keeper's next round, which this process does not live to see.
            parcel_id, chores = world.pipeline.chores[-1]
            world.courier.settle(tidied(parcel_id, (chores[0].file,)))
        world.start()
        world.clock.advance(121)
    # The object is gone by now; the ledger knows the file all the same.
    world.load(*world.receive())
    world.tidy()
    assert (world.left, world.sqs.bodies(DLQ)) == (0, [])
    assert len(world.chores()) == 3


def test_a_lost_chore_is_submitted_again_and_given_up_in_the_end(world: World) -> None:
    """An older decryptor leaves it in its queue; the message is not burnt for it."""
    [file] = world.receive("a")
    world.load(file)
    for tries in range(1, TIDY_TRIES):
        assert len(world.chores()) == tries
        world.wait(DEADLINE_S + LONGEST_PROBE_S)
    with capture_logs() as logs:
        world.wait(DEADLINE_S + LONGEST_PROBE_S)
    [told] = [log for log in logs if log["event"] == "left_in_s3"]
    assert (told["key"], told["error_code"], told["log_level"]) == (file.key, "timeout", "warning")
    assert (world.left, world.sqs.bodies(DLQ), len(world.chores())) == (0, [], TIDY_TRIES)


def test_a_chore_found_late_is_done_for_all_its_chains(world: World) -> None:
    [file] = world.receive("a")
    world.load(file)
    first = world.pipeline.chores[0][0]
    world.wait(DEADLINE_S + LONGEST_PROBE_S)
    assert len(world.chores()) == 2
    world.courier.settle(tidied(first, (file,)))
    world.courier.keep()
    assert world.left == 0
    world.tidy()


def test_what_s3_refuses_is_told_once_and_settles(world: World) -> None:
    [file] = world.receive("a")
    world.load(file)
    with capture_logs() as logs:
        for tries in range(1, TIDY_TRIES + 1):
            assert (world.left, len(world.chores())) == (1, tries)
            world.tidy(REFUSED)
            world.wait(LONGEST_PROBE_S)
    told = [log for log in logs if log["event"] == "left_in_s3"]
    assert [(log["key"], log["error_code"]) for log in told] == [(file.key, "tidy_refused")]
    assert (world.left, world.sqs.bodies(DLQ), world.counted) == (0, [], {"tidy_refused": 1})
    assert not world.courier.is_paused


def test_what_can_never_be_done_is_given_up_at_once(world: World) -> None:
    world.load(*world.receive("a"))
    world.tidy(problem(ErrorCode.TIDY_REFUSED))
    assert (world.left, world.sqs.bodies(DLQ), len(world.chores())) == (0, [], 1)


def test_a_chain_that_fails_in_a_way_that_nobody_foresaw_costs_no_attempt(world: World) -> None:
    [file] = world.receive("a")
    world.load(file)
    for _ in range(TIDY_TRIES):
        world.courier.settle_failed(world.pipeline.chain_of[file.message_id])
        world.wait(LONGEST_PROBE_S)
    assert (world.left, world.sqs.bodies(DLQ), world.counted) == (0, [], {"internal_error": 1})


def test_a_refusal_of_an_older_chain_is_of_no_account(world: World) -> None:
    [file] = world.receive("a")
    world.load(file)
    for _ in range(TIDY_TRIES + 1):
        world.courier.settle(tidied("older", (file,), REFUSED))
    world.courier.keep()
    assert world.left == 1


def test_s3_away_is_an_outage_that_gives_up_nothing(world: World) -> None:
    files = world.receive("a", "b")
    world.load(*files)
    world.tidy(AWAY)
    assert world.courier.outages.away(Dependency.STORAGE)
    for _ in range(200):
        before = len(world.pipeline.chores)
        world.wait(LONGEST_PROBE_S)
        assert len(world.pipeline.chores) - before <= 1, "they take turns"
        if len(world.pipeline.chores) > before:
            world.tidy(AWAY)
    assert world.left == 2
    world.wait(LONGEST_PROBE_S)
    world.tidy()
    assert not world.courier.outages.away(Dependency.STORAGE)
    assert world.left == 1
    world.tidy()
    assert (world.left, world.sqs.bodies(DLQ)) == (0, [])


def test_an_object_that_alone_meets_a_broken_s3_is_given_up_like_a_sick_file(world: World) -> None:
    [file] = world.receive("sick")
    world.load(file)
    for number in range(100):
        if not world.left:
            break
        world.tidy(AWAY)
        world.load(*world.receive(f"well-{number}"), after_load=None)
        world.wait(600)
    assert (world.left, world.sqs.bodies(DLQ), world.counted) == (0, [], {"storage_unavailable": 1})


@pytest.fixture
def without_postgresql(world: World) -> World:
    """PostgreSQL goes while one object is under way to be tagged, and two files fail of it."""
    *failing, done = world.receive("a", "b", "c")
    world.load(done, after_load=TAG)
    for file in failing:
        world.fail(file)
    assert world.courier.outages.away(Dependency.DATABASE)
    return world


def test_a_chore_asks_nothing_of_postgresql(without_postgresql: World) -> None:
    world = without_postgresql
    world.tidy(REFUSED)
    world.wait(LONGEST_PROBE_S)
    assert len(world.chores()) == 2
    world.tidy()
    assert world.left == 2
    assert world.courier.outages.away(Dependency.DATABASE), "nor does it tell anything of it"


def test_a_chore_takes_no_turn_as_a_probe_of_postgresql(without_postgresql: World) -> None:
    world = without_postgresql
    for file in world.pipeline.files:
        world.fail(file, ErrorCode.CRASHED)
    world.tidy(REFUSED)
    world.wait(1)
    assert len(world.chores()) == 2
    world.wait(0.5)
    world.tidy(REFUSED)
    world.wait(1.5)
    assert len(world.chores()) == 2, "the next probe was due, 3 s after the outage began; its own pause of 2 s is not over"
    world.wait(0.5)
    assert len(world.chores()) == 3


def test_a_chore_under_way_keeps_no_witness_away(without_postgresql: World) -> None:
    world = without_postgresql
    for _ in range(2):
        world.wait(LONGEST_PROBE_S)
        world.fail(world.pipeline.files[-1])
    held = len(world.courier.in_flight)
    world.receive("witness")
    assert len(world.courier.in_flight) == held + 1


def test_a_report_of_an_earlier_life_does_not_settle_what_is_not_loaded(world: World) -> None:
    """The message came again; that its object is tagged says nothing of this chain."""
    [file] = world.receive("a")
    world.courier.settle(tidied("p", (file,)))
    world.courier.keep()
    assert (world.left, len(world.courier.in_flight)) == (1, 1)
    world.load(file)
    assert len(world.chores()) == 1


def test_what_was_held_against_the_file_is_forgotten(world: World) -> None:
    [file] = world.receive("sick")
    for number in range(MOST_OWN_FAILURES - 1):
        world.fail(file, ErrorCode.TIMEOUT)
        world.load(*world.receive(f"well-{number}"), after_load=None)
        world.wait(600)
    world.load(file)
    world.tidy(AWAY)
    assert world.left == 1


def test_nobody_asks_the_workers_whether_they_stall_for_it(world: World) -> None:
    world.load(*world.receive("a"))
    world.wait(DEADLINE_S - HEARTBEAT_S)
    assert world.courier.in_flight.slow_chains() == {}


def test_redis_restarted_empty_loses_no_chore(world: World) -> None:
    world.load(*world.receive("a"))
    world.broker.memory.clear()
    world.courier.keep()
    assert len(world.chores()) == 2


def test_without_workers_it_goes_back_to_sqs_as_every_message_does(world: World) -> None:
    world.load(*world.receive("a"))
    world.workers = False
    world.wait(DEADLINE_S + HEARTBEAT_S)
    assert (world.left, len(world.courier.in_flight)) == (1, 0)


def test_of_several_files_only_those_that_want_it(world: World) -> None:
    records = [native_record(f"incoming/orders/{name}.csv.gz.age", version=name) for name in "abc"]
    world.sqs.send_message(QueueUrl=QUEUE, MessageBody=body(native(*records)))
    first, second, third = world.receive()
    world.load(first, after_load=None)
    world.load(second, after_load=DELETE)
    assert world.chores() == []
    world.load(third, verdict=Verdict.REJECTED, after_load=None)
    assert world.chores() == [(second.key, DELETE)]
    assert world.sqs.bodies(DLQ) == []
    world.tidy()
    assert (world.left, len(world.sqs.bodies(DLQ))) == (0, 1)


PARTS = tuple(Sibling(key=f"incoming/orders/part-{n}.csv.gz.age", version_id=f"p{n}", etag=f"e{n}") for n in (1, 2))


def complete(world: World, wish: str | None = DELETE) -> FileRef:
    """The last part of a group is loaded."""
    [file] = world.receive("part-3")
    told = settlement(file, after_load=wish).model_copy(update={"siblings": PARTS})
    world.courier.settle(SettledParcel(parcel_id="", settlements=(told,)))
    world.courier.keep()
    return file


def test_the_message_that_completed_a_group_waits_for_the_objects_of_all(world: World) -> None:
    file = complete(world)
    [(parcel_id, chores)] = world.pipeline.chores
    assert [(c.file.key, c.file.version_id, c.file.etag, c.after_load) for c in chores] == [
        (file.key, file.version_id, file.etag, DELETE),
        *((part.key, part.version_id, part.etag, DELETE) for part in PARTS),
    ]
    for number, chore in enumerate(chores):
        assert (world.left, len(world.courier.in_flight)) == (1, 1), number
        world.courier.settle(tidied(parcel_id, (chore.file,)))
        world.courier.keep()
    assert (world.left, world.counted) == (0, {"": 3})


def test_a_part_s_object_that_s3_keeps_refusing_is_told_by_its_own_key(world: World) -> None:
    complete(world)
    with capture_logs() as logs:
        for _ in range(TIDY_TRIES):
            parcel_id, chores = world.pipeline.chores[-1]
            for chore in chores:
                refused = REFUSED if chore.file.key == PARTS[0].key else None
                world.courier.settle(tidied(parcel_id, (chore.file,), refused))
            world.courier.keep()
            world.wait(LONGEST_PROBE_S)
    assert [log["key"] for log in logs if log["event"] == "left_in_s3"] == [PARTS[0].key]
    assert (world.left, world.counted) == (0, {"": 2, "tidy_refused": 1})


def test_an_older_chain_that_reports_late_starts_nothing_anew(world: World) -> None:
    [file] = world.receive("a")
    world.load(file)
    world.load(file)
    world.fail(file, ErrorCode.CRASHED)
    world.wait(LONGEST_PROBE_S)
    assert (len(world.chores()), len(world.courier.in_flight)) == (1, 1)
    world.tidy()
    assert world.left == 0
    world.tidy()


def test_a_wish_that_was_taken_back_holds_nothing(world: World) -> None:
    """datasets.toml changed between two chains."""
    [file] = world.receive("a")
    world.load(file)
    world.load(file, after_load=None)
    assert world.left == 0


def test_an_older_decryptors_or_pollers_report_is_understood(world: World) -> None:
    assert SettledParcel.read({"parcel_id": "p", "settlements": []}).tidied == ()
    [file] = world.receive("a")
    said = settled((file,)).dump()
    del said["settlements"][0]["after_load"]
    world.courier.settle(SettledParcel.read(said))
    world.courier.keep()
    assert world.left == 0
