"""A file that stalls every worker that gets it is rejected at its third try; a file that only waits is not."""

import itertools
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from fakes.clock import Clock
from fakes.line import FakeBroker, FakePipeline, body, eventbridge, held, native, native_record, settled, settlement
from fakes.poller import DLQ, MAX_RECEIVE_COUNT, QUEUE, courier, queues, settings
from poller.held import Held
from poller.stalls import LOOKS, MOST_REMEMBERED, Stalls
from shared.contract import FileRef, Problem, SettledParcel, Verdict
from shared.errors import ErrorCode
from shared.protocol import LONGEST_BACK_S, MOST_WAITS, STALLS, STEADY_S

DEADLINE_S = 600
ROUND_S = 10
SICK = "incoming/orders/sick.csv.gz.age"


class NotingPipeline(FakePipeline):
    """Notes the problem of each parcel, too."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: dict[str, Problem | None] = {}
        """By parcel id."""

    def submit(self, group: list[Held]) -> str:
        parcel_id = super().submit(group)
        self.problems[parcel_id] = group[0].problem
        return parcel_id


class World:
    """One poller with a file that is never heard of again, while others flow."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sqs = queues(self.clock)
        self.pipeline, self.broker = NotingPipeline(), FakeBroker()
        self.run = "decryptor@d1 1"
        """Of the worker that has the sick file in its hands; empty: it waits in line, or nobody has it."""
        self.others = True
        """Whether other files come, and go through."""
        self.late_errback = False
        """Whether the worker kills its process at the deadline, before the poller looks."""
        self.asked = 0
        self._sent = 0
        self.start()

    def start(self) -> None:
        """A poller that remembers nothing."""
        given = settings(task_deadline=DEADLINE_S)
        self.courier = courier(given, self.sqs, self.pipeline, self.broker, self.clock, hands=self._hands)

    def _hands(self, chains: Sequence[str]) -> dict[str, str]:
        self.asked += 1
        killed = [h.parcel_id for h in self.courier.in_flight._held.values() if self.late_errback and h.is_overdue(self.clock.now)]
        return dict.fromkeys(set(chains) - set(killed), self.run) if self.run else {}

    def send(self, event: object) -> None:
        self.sqs.send_message(QueueUrl=QUEUE, MessageBody=body(event))

    def round(self) -> None:
        """Ten seconds: another file comes and is loaded at once, the sick one is silent."""
        self.clock.advance(ROUND_S)
        if self.others:
            self._sent += 1
            self.send(eventbridge(f"incoming/orders/{self._sent}.csv.gz.age", version=str(self._sent)))
        self.courier.receive()
        well = [file for file in self.pipeline.files if file.key != SICK]
        self.courier.settle(settled(tuple(well), Verdict.DONE))
        self.pipeline.parcels = [parcel for parcel in self.pipeline.parcels if parcel[0].key == SICK]
        if self.late_errback:
            for held_ in self.courier.in_flight._held.values():
                if held_.is_overdue(self.clock.now):
                    self.courier.settle_failed(held_.parcel_id)
                    break
        self.courier.keep()

    @property
    def tries(self) -> list[FileRef]:
        """Of the sick file."""
        return [file for file in self.pipeline.files if file.key == SICK]

    @property
    def rejection(self) -> Problem | None:
        """With which the newest chain of the sick file is to be rejected."""
        return self.pipeline.problems[self.pipeline.chain_of[self.tries[-1].message_id]] if self.tries else None

    def until(self, tries: int) -> None:
        """Go on until so many chains of the sick file were submitted, or it is a dead letter."""
        for _ in range(2 * MAX_RECEIVE_COUNT * ((MOST_WAITS + 1) * DEADLINE_S + LONGEST_BACK_S) // ROUND_S):
            if len(self.tries) >= tries or self.sqs.bodies(DLQ):
                return
            self.round()
        raise AssertionError(f"{len(self.tries)} tries only")


@pytest.fixture
def world() -> World:
    world = World()
    world.send(eventbridge(SICK))
    return world


def letter(world: World) -> tuple[str, str]:
    [found] = world.sqs.queues[DLQ].messages.values()
    code = found.attributes.get("error_code")
    return found.body, code["StringValue"] if code else ""


def answer(world: World, verdict: Verdict, code: ErrorCode | None = None) -> None:
    """What the loader says of the sick file."""
    said = settlement(world.tries[-1], verdict).model_copy(update={"error_code": code})
    world.courier.settle(SettledParcel(parcel_id="", settlements=(said,)))
    world.courier.keep()


@pytest.mark.parametrize("late_errback", [False, True])
def test_after_three_stalls_the_loader_is_asked_to_reject_it(world: World, late_errback: bool) -> None:
    world.late_errback = late_errback
    with capture_logs() as logs:
        world.until(STALLS + 1)
    assert [file.attempt for file in world.tries] == [1, 2, 3, 3]
    assert world.rejection is not None
    assert (world.rejection.error_code, world.rejection.retry) == ("timeout", False)
    assert [line["stalls"] for line in logs if line["event"] == "stalled"] == [STALLS]
    answer(world, Verdict.REJECTED, ErrorCode.TIMEOUT)
    assert letter(world) == (body(eventbridge(SICK)), "timeout")
    assert len(world.courier.in_flight) == 0


def test_a_file_that_was_loaded_after_all_is_settled_as_such(world: World) -> None:
    world.until(STALLS + 1)
    answer(world, Verdict.DONE)
    assert (len(world.courier.in_flight), world.sqs.bodies(DLQ)) == (0, [])
    world.others = False
    world.round()
    assert world.sqs.bodies(QUEUE) == []


def test_a_rejection_that_cannot_be_written_yet_is_tried_again_as_a_rejection(world: World) -> None:
    """An older run still holds the ledger's row, or PostgreSQL is away."""
    world.until(STALLS + 1)
    answer(world, Verdict.RETRY, ErrorCode.TIMEOUT)
    world.until(STALLS + 2)
    assert world.rejection is not None
    assert world.tries[-1].attempt == STALLS


def test_is_the_rejection_silent_too_the_message_goes_back(world: World) -> None:
    world.until(STALLS + 2)
    assert [file.attempt for file in world.tries] == [1, 2, 3, 3, 4]
    assert world.rejection is None


def never_rejected(world: World, tries: int = MAX_RECEIVE_COUNT) -> None:
    world.until(tries + 1)
    assert len(world.tries) == tries
    assert not any(world.pipeline.problems.values())
    assert letter(world) == (body(eventbridge(SICK)), "")


def test_a_file_that_waits_in_line_is_never_rejected(world: World) -> None:
    world.run = ""
    never_rejected(world, (MOST_WAITS + 1) * MAX_RECEIVE_COUNT)
    assert world.asked


def test_while_nothing_else_goes_through_nothing_is_held_against_it(world: World) -> None:
    world.others = False
    never_rejected(world)


def test_runs_that_follow_one_another_are_no_stall(world: World) -> None:
    """Each of another process, because the one before died: that is a crash, which is counted elsewhere."""
    world.courier._stalls._hands = lambda chains: dict.fromkeys(chains, f"decryptor@d1 {world.clock.now}")
    never_rejected(world)


def test_of_a_message_of_several_files_nobody_knows_which_one_it_is() -> None:
    world = World()
    world.send(native(native_record(SICK), native_record(SICK, version="v2")))
    world.until(2 * MAX_RECEIVE_COUNT + 1)
    assert not any(world.pipeline.problems.values())
    assert len(world.sqs.bodies(DLQ)) == 1


def test_a_poller_that_was_restarted_gives_it_more_tries(world: World) -> None:
    world.until(STALLS)
    world.courier.hand_back()
    world.start()
    world.until(MAX_RECEIVE_COUNT + 1)
    assert not any(world.pipeline.problems.values())


def test_an_outage_starts_the_deadline_again_and_is_no_stall(world: World) -> None:
    world.until(STALLS)
    for _ in range(DEADLINE_S // ROUND_S - 1):
        world.round()
    world.broker.away = world.pipeline.away = True
    for _ in range(DEADLINE_S // ROUND_S):
        world.clock.advance(ROUND_S)
        world.courier.keep()
    world.broker.away = world.pipeline.away = False
    world.courier.keep()
    assert world.tries[-1].message_id in world.courier.in_flight.receipts()
    # What nobody has begun has expired meanwhile.
    assert (len(world.tries), world.tries[-1].attempt, world.rejection) == (STALLS + 1, STALLS, None)
    for _ in range(DEADLINE_S // ROUND_S - 1):
        world.round()
    assert (len(world.tries), world.rejection) == (STALLS + 1, None)


def blink(world: World) -> None:
    """Redis is away for a moment, and loses what it was just handing out."""
    world.courier.receive()
    world.broker.away = True
    world.courier.keep()
    world.broker.away = False


def seconds(world: World, count: float) -> None:
    for _ in range(round(count)):
        world.clock.advance(1)
        world.courier.keep()


def test_what_redis_lost_while_it_was_away_is_submitted_again_within_ten_seconds(world: World) -> None:
    world.run = ""
    blink(world)
    seconds(world, 10)
    assert [file.attempt for file in world.tries] == [1, 1]
    assert world.asked == 1
    seconds(world, 60)
    assert len(world.tries) == 2, "asked once for each time that it was away"


def test_what_a_worker_has_in_hand_when_redis_is_back_is_left_to_it(world: World) -> None:
    blink(world)
    seconds(world, 60)
    assert (len(world.tries), world.asked) == (1, 1)


def test_what_was_submitted_since_redis_is_back_only_stands_in_line(world: World) -> None:
    world.courier.receive()
    world.broker.away = world.pipeline.away = True
    world.courier.keep()
    world.send(eventbridge("incoming/orders/later.csv.gz.age"))
    world.broker.away = world.pipeline.away = False
    world.run = ""
    seconds(world, 1)
    world.courier.receive()
    seconds(world, 60)
    assert [file.key for file in world.pipeline.files] == [SICK, "incoming/orders/later.csv.gz.age", SICK]


def test_a_redis_that_comes_and_goes_is_waited_for(world: World) -> None:
    """Else each time would add a copy of everything to the line."""
    world.run = ""
    for _ in range(30):
        blink(world)
        seconds(world, STEADY_S / 2)
    assert len(world.tries) == 1


def test_nobody_asks_who_has_a_chain_that_is_young(world: World) -> None:
    for _ in range(DEADLINE_S // 2 // ROUND_S):
        world.round()
    assert world.asked == 0
    for _ in range(DEADLINE_S // 2 // ROUND_S):
        world.round()
    assert 0 < world.asked <= LOOKS // 2 + 1


def test_a_file_that_hangs_all_workers_stalls_though_others_go_through_only_between_its_chains() -> None:
    clock = Clock()
    stalls = Stalls(clock, DEADLINE_S, lambda chains: dict.fromkeys(chains, "run"))

    def silence(went_before: int, went_through: int) -> bool:
        message = held("sick")
        message.parcel_id, message.went_before = "chain", went_before
        stalls.watch({"chain": False})
        clock.advance(DEADLINE_S)
        said = stalls.is_hopeless(message, DEADLINE_S, went_through)
        stalls.watch({})
        return said

    assert [silence(0, 0), silence(7, 7), silence(9, 9), silence(12, 12)] == [False, False, False, True]
    stalls = Stalls(clock, DEADLINE_S, lambda chains: dict.fromkeys(chains, "run"))
    assert not any(silence(12, 12) for _ in range(9)), "nothing went through at all: it is the world"


# The memory


def test_the_memory_of_stalls_is_bounded() -> None:
    clock, went_through = Clock(), itertools.count(1)
    stalls = Stalls(clock, DEADLINE_S, lambda chains: dict.fromkeys(chains, "run"))

    def stall(name: str) -> bool:
        message = held(name)
        message.parcel_id = name
        stalls.watch({name: False})
        clock.advance(DEADLINE_S)
        return stalls.is_hopeless(message, DEADLINE_S, next(went_through))

    assert [stall("first"), stall("first")] == [False, False]
    for n in range(MOST_REMEMBERED):
        assert not stall(str(n))
    assert not stall("first"), "it was forgotten"
    assert [stall(str(MOST_REMEMBERED - 1)) for _ in range(2)] == [False, True]
    assert len(stalls._silences) == MOST_REMEMBERED
    stalls.watch({})
    assert stalls._seen == {}
