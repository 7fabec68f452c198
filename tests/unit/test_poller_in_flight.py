import threading

import pytest

from fakes.clock import Clock
from fakes.line import file_ref, message, problem, settlement
from poller.held import Finished, Held
from poller.in_flight import InFlight
from shared import protocol
from shared.contract import FileRef, Verdict
from shared.errors import ErrorCode
from shared.protocol import LONGEST_HOLD_S, LONGEST_RETRY_S, Happening

DEADLINE = 600.0
MAX_BYTES = 100


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def in_flight(clock: Clock) -> InFlight:
    return InFlight(clock, DEADLINE, MAX_BYTES)


def hold(in_flight: InFlight, message_id: str, size: int = 10) -> FileRef:
    file = file_ref(message_id, version=message_id, size=size)
    assert in_flight.hold(message(message_id), (file,))
    return file


def ids(finished: list[Finished]) -> list[str]:
    return [each.message.message_id for each in finished]


def due(in_flight: InFlight) -> list[str]:
    return [held.message.message_id for held in in_flight.take_due()]


def test_a_message_takes_one_slot_until_it_is_settled(in_flight: InFlight) -> None:
    file = hold(in_flight, "a")
    assert len(in_flight) == 1
    finished = in_flight.settle(settlement(file))
    assert finished is not None
    assert (finished.message, finished.happening, finished.rejection) == (message("a"), Happening.DONE, None)
    assert len(in_flight) == 0


def test_what_is_held_is_due_once(in_flight: InFlight) -> None:
    hold(in_flight, "a")
    assert due(in_flight) == ["a"]
    assert due(in_flight) == []


def test_a_second_receive_renews_the_handle_and_nothing_else(in_flight: InFlight) -> None:
    file = hold(in_flight, "a")
    assert due(in_flight) == ["a"]
    assert not in_flight.hold(message("a", receive_count=2, handle="newer"), (file,))
    assert len(in_flight) == 1
    assert in_flight.receipts() == {"a": "newer"}
    assert due(in_flight) == []
    finished = in_flight.settle(settlement(file))
    assert finished is not None
    assert finished.message.receipt_handle == "newer"


# Bytes


def test_the_bytes_under_way_are_bounded(in_flight: InFlight) -> None:
    a, b = hold(in_flight, "a", 60), hold(in_flight, "b", 40)
    hold(in_flight, "c", 1)
    assert due(in_flight) == ["a", "b"]
    in_flight.settle(settlement(b))
    assert due(in_flight) == ["c"]
    in_flight.settle(settlement(a))
    assert due(in_flight) == []


def test_a_larger_file_travels_alone(in_flight: InFlight) -> None:
    small = hold(in_flight, "small", 1)
    large = hold(in_flight, "large", 10 * MAX_BYTES)
    hold(in_flight, "after", 1)
    assert due(in_flight) == ["small"]
    assert due(in_flight) == []
    in_flight.settle(settlement(small))
    assert due(in_flight) == ["large"]
    assert due(in_flight) == []
    in_flight.settle(settlement(large))
    assert due(in_flight) == ["after"]


def test_the_large_one_is_not_overtaken_for_ever(in_flight: InFlight, clock: Clock) -> None:
    hold(in_flight, "first", 1)
    assert due(in_flight) == ["first"]
    clock.advance(1)
    hold(in_flight, "large", MAX_BYTES)
    clock.advance(1)
    hold(in_flight, "late and small", 1)
    assert due(in_flight) == []


# Several files in one message


def test_a_message_of_several_files_ends_with_the_last(in_flight: InFlight) -> None:
    files = tuple(file_ref("a", version=str(n)) for n in range(3))
    in_flight.hold(message("a"), files)
    assert in_flight.settle(settlement(files[0])) is None
    assert in_flight.settle(settlement(files[2])) is None
    assert in_flight.settle(settlement(files[0])) is None
    assert in_flight.settle(settlement(files[1])) is not None


def test_one_rejected_file_rejects_its_message(in_flight: InFlight) -> None:
    files = tuple(file_ref("a", version=str(n)) for n in range(2))
    in_flight.hold(message("a"), files)
    in_flight.settle(settlement(files[0], Verdict.REJECTED))
    finished = in_flight.settle(settlement(files[1]))
    assert finished is not None
    assert (finished.happening, finished.rejection) == (Happening.REJECTED, settlement(files[0], Verdict.REJECTED))


def test_only_what_is_unsettled_is_tried_again(in_flight: InFlight, clock: Clock) -> None:
    files = tuple(file_ref("a", version=str(n)) for n in range(2))
    in_flight.hold(message("a"), files)
    in_flight.take_due()
    in_flight.settle(settlement(files[0]))
    in_flight.settle(settlement(files[1], Verdict.RETRY))
    clock.advance(1)
    [held] = in_flight.take_due()
    assert held.unsettled == (files[1],)


def test_the_same_version_announced_twice_in_a_message_needs_one_settlement(in_flight: InFlight) -> None:
    file = file_ref("a")
    in_flight.hold(message("a"), (file, file))
    assert in_flight.settle(settlement(file)) is not None


# Retry


def fail(in_flight: InFlight, file: FileRef) -> Finished | None:
    return in_flight.settle(settlement(file, Verdict.RETRY))


def another_goes_through(in_flight: InFlight) -> None:
    assert in_flight.settle(settlement(file_ref("another"))) is None


def test_a_failure_keeps_the_message_held_and_waits_longer_each_time_that_others_went_through(in_flight: InFlight, clock: Clock) -> None:
    file = hold(in_flight, "a")
    for pause in (1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST_RETRY_S, LONGEST_RETRY_S):
        assert due(in_flight) == ["a"]
        assert fail(in_flight, file) is None
        another_goes_through(in_flight)
        assert in_flight.receipts() == {"a": "a-handle"}
        clock.advance(pause - 0.5)
        assert due(in_flight) == []
        clock.advance(0.5)
    assert due(in_flight) == ["a"]
    finished = fail(in_flight, file)
    assert finished is not None
    assert (finished.happening, len(in_flight)) == (Happening.OWN_TROUBLE, 0)


def test_failures_while_nobody_goes_through_are_not_the_files_own(in_flight: InFlight, clock: Clock) -> None:
    file = hold(in_flight, "a")
    another_goes_through(in_flight)
    for _ in range(1100):
        assert fail(in_flight, file) is None
    clock.advance(1)
    assert due(in_flight) == ["a"]


@pytest.mark.parametrize("code", ["internal_error", "crashed"])
def test_a_bug_lets_the_message_go(in_flight: InFlight, code: str) -> None:
    file = hold(in_flight, "a")
    finished = in_flight.settle(settlement(file, Verdict.RETRY).model_copy(update={"error_code": code}))
    assert finished is not None
    assert (finished.happening, len(in_flight)) == (Happening.BROKEN, 0)


def test_postponed_waits_and_unknown_ids_are_harmless(in_flight: InFlight) -> None:
    hold(in_flight, "a")
    assert due(in_flight) == ["a"]
    in_flight.postpone(["a", "unknown"])
    assert due(in_flight) == ["a"]


# Outages


def probe(in_flight: InFlight) -> str:
    [held] = in_flight.take_probe()
    return held.message.message_id


def test_probes_take_turns_the_smallest_first(in_flight: InFlight, clock: Clock) -> None:
    files = {name: hold(in_flight, name, size) for name, size in (("a", 30), ("b", 10), ("c", 20))}
    turns = []
    for _ in range(6):
        clock.advance(5)
        turns.append(probe(in_flight))
        fail(in_flight, files[turns[-1]])
    assert turns == ["b", "c", "a"] * 2


def test_one_probe_may_follow_another_that_has_not_come_back(in_flight: InFlight) -> None:
    hold(in_flight, "a")
    hold(in_flight, "b")
    assert {probe(in_flight), probe(in_flight)} == {"a", "b"}
    assert in_flight.take_probe() == []


def test_all_have_been_probed_when_each_had_its_turn_and_failed(in_flight: InFlight, clock: Clock) -> None:
    files = {name: hold(in_flight, name) for name in "ab"}
    since = clock.now
    for _ in files:
        assert not in_flight.all_probed(since)
        clock.advance(5)
        fail(in_flight, files[probe(in_flight)])
    assert in_flight.all_probed(since)
    assert not in_flight.all_probed(clock.now)


def test_what_is_back_makes_everybody_due_but_those_that_are_probably_sick(in_flight: InFlight, clock: Clock) -> None:
    sick, good = hold(in_flight, "sick"), hold(in_flight, "good")
    for _ in range(protocol.PATIENT_AFTER):
        fail(in_flight, sick)
        another_goes_through(in_flight)
    fail(in_flight, good)
    assert due(in_flight) == []
    in_flight.due_at_once()
    assert due(in_flight) == ["good"]
    assert in_flight.take_probe() == [], "the sick one is no probe before its pause is over"
    clock.advance(2 ** (protocol.PATIENT_AFTER - 1))
    assert probe(in_flight) == "sick"


def test_deadlines_start_again_when_nobody_could_work(in_flight: InFlight, clock: Clock) -> None:
    hold(in_flight, "a")
    due(in_flight)
    clock.advance(DEADLINE / 2)
    in_flight.restart_deadlines()
    clock.advance(DEADLINE / 2 + 1)
    assert not in_flight.has_overdue()
    assert due(in_flight) == []
    clock.advance(DEADLINE / 2)
    assert in_flight.has_overdue()


def test_after_an_outage_what_has_expired_meanwhile_is_due_at_once(in_flight: InFlight, clock: Clock) -> None:
    """The workers pass it over: nobody would speak of it until its deadline."""
    hold(in_flight, "old")
    due(in_flight)
    clock.advance(DEADLINE)
    hold(in_flight, "young")
    due(in_flight)
    clock.advance(1)
    in_flight.restart_deadlines()
    assert due(in_flight) == ["old"]
    assert not in_flight.has_overdue()


def test_a_file_of_two_messages_is_under_way_once(in_flight: InFlight, clock: Clock) -> None:
    """Else one chain's loader takes the file out of the spool that the other's decryptor has just put there."""
    file = file_ref("first")
    again = file.model_copy(update={"message_id": "again"})
    in_flight.hold(message("first"), (file,))
    in_flight.hold(message("again"), (again,))
    hold(in_flight, "other")
    assert due(in_flight) == ["first", "other"]
    assert in_flight.take_probe() == []
    in_flight.settle(settlement(file))
    assert due(in_flight) == ["again"]


@pytest.mark.parametrize("code", [ErrorCode.CRASHED, ErrorCode.DATABASE_UNAVAILABLE])
def test_what_an_older_chain_says_of_its_failure_is_of_no_account(in_flight: InFlight, clock: Clock, code: ErrorCode) -> None:
    file = hold(in_flight, "a")
    [held] = in_flight.take_due()
    held.parcel_id = "newer"
    failed = settlement(file, Verdict.RETRY).model_copy(update={"error_code": code})
    assert in_flight.settle(failed, "older") is None
    assert held.under_way
    assert in_flight.settle(settlement(file), "older") is not None, "what it has done counts"


def test_a_settlement_for_a_message_not_held_is_harmless(in_flight: InFlight) -> None:
    assert in_flight.settle(settlement(file_ref("unknown"))) is None
    assert in_flight.settle(settlement(file_ref("unknown"), Verdict.RETRY)) is None
    assert len(in_flight) == 0


# Deadlines


def test_a_silent_chain_is_given_up_at_its_deadline(in_flight: InFlight, clock: Clock) -> None:
    hold(in_flight, "a")
    due(in_flight)
    clock.advance(DEADLINE - 1)
    assert not in_flight.has_overdue()
    assert in_flight.drop_overdue(Happening.SILENT) == []
    clock.advance(2)
    assert in_flight.has_overdue()
    assert in_flight.drop_overdue(Happening.SILENT) == [Finished(message("a"), Happening.SILENT)]
    assert len(in_flight) == 0


def test_a_large_file_has_a_later_deadline(clock: Clock) -> None:
    in_flight = InFlight(clock, DEADLINE, max_bytes=10**12)
    hold(in_flight, "a", size=20_000_000_000)
    due(in_flight)
    clock.advance(DEADLINE + 9_999)
    assert not in_flight.has_overdue()
    clock.advance(2)
    assert in_flight.has_overdue()


def test_waiting_has_no_deadline_but_no_message_is_held_longer_than_sqs_allows(in_flight: InFlight, clock: Clock) -> None:
    hold(in_flight, "waiting")
    clock.advance(LONGEST_HOLD_S - 1)
    assert in_flight.drop_overdue(Happening.SILENT) == in_flight.drop_old() == []
    clock.advance(1)
    assert in_flight.drop_old() == [Finished(message("waiting"), Happening.HELD_TOO_LONG)]


def test_resubmit_all_makes_everything_due_at_once(in_flight: InFlight) -> None:
    for name in "abc":
        hold(in_flight, name)
    assert due(in_flight) == ["a", "b", "c"]
    assert in_flight.resubmit_all() == 3
    assert due(in_flight) == ["a", "b", "c"]


def test_a_stop_lets_go_of_everything(in_flight: InFlight) -> None:
    for name in "abc":
        hold(in_flight, name)
    due(in_flight)
    stopped = in_flight.drop_all()
    assert ids(stopped) == ["a", "b", "c"]
    assert {each.happening for each in stopped} == {Happening.STOP}
    assert in_flight.drop_all() == []


def test_a_parcels_messages_are_dropped_and_those_of_a_newer_chain_are_not(in_flight: InFlight) -> None:
    for name in "abc":
        hold(in_flight, name)
    a, b, c = in_flight.take_due()
    a.parcel_id = b.parcel_id = "old"
    c.parcel_id = "other"
    b.parcel_id = "new"
    assert in_flight.drop_parcel("old") == [Finished(message("a"), Happening.CHAIN_FAILED)]
    assert in_flight.drop_parcel("old") == []
    assert in_flight.receipts() == {"b": "b-handle", "c": "c-handle"}


def test_a_refused_receipt_drops_its_message_and_a_newer_one_keeps_it(in_flight: InFlight) -> None:
    for name in "ab":
        hold(in_flight, name)
    in_flight.hold(message("b", receive_count=2, handle="newer"), ())
    in_flight.drop_receipts([("a", "a-handle"), ("b", "b-handle"), ("unknown", "handle")])
    assert in_flight.receipts() == {"b": "newer"}


def test_threads_lose_and_double_nothing(in_flight: InFlight) -> None:
    """Receiver and settler at once: every file is finished exactly once."""
    files = {str(n): file_ref(str(n), size=0) for n in range(500)}
    finished: list[str] = []
    received = threading.Barrier(3)

    def receive(ids: list[str]) -> None:
        received.wait()
        for message_id in ids:
            in_flight.hold(message(message_id), (files[message_id],))
            in_flight.take_due()

    def settle() -> None:
        received.wait()
        open_files = dict(files)
        while open_files:
            for message_id, file in list(open_files.items()):
                if in_flight.settle(settlement(file)):
                    finished.append(message_id)
                    del open_files[message_id]

    ids = list(files)
    threads = [threading.Thread(target=receive, args=(part,)) for part in (ids[::2], ids[1::2])] + [threading.Thread(target=settle)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(finished) == sorted(files)
    assert len(in_flight) == 0


# Chains that take long


def test_a_chain_takes_long_from_the_middle_of_its_allowance_on(clock: Clock) -> None:
    in_flight = InFlight(clock, DEADLINE, 10_000_000_000)
    hold(in_flight, "large", 2_000_000_000)
    hold(in_flight, "small", 1)
    for held in in_flight.take_due():
        held.parcel_id = f"chain of {held.message.message_id}"
    assert in_flight.slow_chains() == {}
    clock.advance(DEADLINE / 2 + 1)
    assert in_flight.slow_chains() == {"chain of small": False}
    clock.advance(DEADLINE / 2 + 200)
    assert in_flight.slow_chains() == {"chain of large": False, "chain of small": True}


def test_only_what_is_overdue_and_hopeless_is_to_be_rejected_and_only_once(in_flight: InFlight, clock: Clock) -> None:
    asked: list[tuple[str, float, int]] = []

    def is_hopeless(held: Held, allowed: float, went_through: int) -> bool:
        asked.append((held.message.message_id, round(allowed), went_through - held.went_before))
        return held.message.message_id == "sick"

    well = hold(in_flight, "well")
    for name in ("sick", "unlucky"):
        hold(in_flight, name)
    due(in_flight)
    assert in_flight.reject_overdue(problem(), is_hopeless) == []
    in_flight.settle(settlement(well))
    clock.advance(DEADLINE + 1)
    hold(in_flight, "late")
    due(in_flight)
    clock.advance(DEADLINE / 2)
    assert [held.message.message_id for held in in_flight.reject_overdue(problem(), is_hopeless)] == ["sick"]
    assert asked == [("sick", DEADLINE, 1), ("unlucky", DEADLINE, 1)]
    assert ids(in_flight.drop_overdue(Happening.SILENT)) == ["unlucky"]
    [again] = in_flight.take_due()
    assert (again.message.message_id, again.problem) == ("sick", problem())
    clock.advance(DEADLINE + 1)
    assert in_flight.reject_overdue(problem(), lambda *_: True) != [again]
    assert "sick" in ids(in_flight.drop_overdue(Happening.SILENT))


def test_what_went_through_before_a_chain_was_submitted_is_of_no_account(in_flight: InFlight, clock: Clock) -> None:
    before = hold(in_flight, "before")
    due(in_flight)
    in_flight.settle(settlement(before))
    hold(in_flight, "sick")
    due(in_flight)
    clock.advance(DEADLINE + 1)
    assert in_flight.reject_overdue(problem(), lambda held, _, went_through: went_through > held.went_before) == []
    assert len(in_flight.reject_overdue(problem(), lambda held, _, went_through: went_through == held.went_before)) == 1


def test_a_failure_of_a_chain_past_its_deadline_is_judged_as_its_silence(in_flight: InFlight, clock: Clock) -> None:
    """The worker kills its process at the very same deadline, and says so by the errback."""
    hold(in_flight, "a")
    [held] = in_flight.take_due()
    held.parcel_id = "chain"
    clock.advance(DEADLINE + 1)
    assert in_flight.drop_parcel("chain") == []
    assert ids(in_flight.drop_overdue(Happening.SILENT)) == ["a"]
