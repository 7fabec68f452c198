"""The protocol's tables: their own consistency, and that docs/architecture.md and the ledger's SQL say the same."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.line import file_ref, settlement
from loader import statements
from shared import protocol
from shared.contract import Verdict
from shared.errors import ErrorCode
from shared.protocol import (
    DECISIONS,
    FILE_MOVES,
    MESSAGE_MOVES,
    RETAKEN,
    SPEAKS_OF,
    Breaker,
    Dependency,
    FileStatus,
    Happening,
    IllegalMoveError,
    MessageState,
    Telling,
)

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading of docs/architecture.md."""
    below = ARCHITECTURE.read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in below.splitlines() if line.startswith("|")]
    return rows[2:]


# The documents


def test_the_docs_show_every_decision() -> None:
    documented = {happening: (state, telling) for happening, state, telling in table("What an outcome means for the message")}
    assert documented == {str(h): (str(d.state), str(d.telling)) for h, d in DECISIONS.items()}


def test_the_docs_show_every_state_of_a_file() -> None:
    documented = {status.strip("`"): again for status, _, _, again in table("The ledger's states")}
    moves = {
        status: "yes" if status in RETAKEN else "no, its group decides" if FILE_MOVES[status] else "no, final" for status in FileStatus
    }
    assert documented == moves


def test_the_docs_show_what_a_state_of_a_file_means_for_its_message() -> None:
    documented = {status.strip("`"): verdict.strip("`") for status, _, verdict, _ in table("The ledger's states")}
    assert documented == {status: protocol.verdict(status) for status in FileStatus}


def test_the_picture_shows_every_step_of_a_message() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    documented = {
        (start, end) for start, ends in re.findall(r"^ {4}([a-z ]+?) +─▶ (.+)$", text, flags=re.MULTILINE) for end in ends.split(" | ")
    }
    assert documented == {(str(start), str(end)) for start, ends in MESSAGE_MOVES.items() for end in ends}


def test_the_docs_show_what_tells_of_which_dependency() -> None:
    documented = {row[0]: row[1] for row in table("Outages")}
    assert documented.keys() == {f"`{dependency}`" for dependency in Dependency}
    for code, dependency in SPEAKS_OF.items():
        assert f"`{code}`" in documented[f"`{dependency}`"]


def test_the_ledger_retakes_what_the_protocol_lets_it_retake() -> None:
    [retaken] = re.findall(rb"WHERE f\.status IN \(([^)]*)\)", statements.CLAIM)
    assert {status.strip(" '") for status in retaken.decode().split(",")} == RETAKEN


# A message


def test_a_message_that_was_let_go_is_out_of_our_hands() -> None:
    assert {state for state, ends in MESSAGE_MOVES.items() if not ends} == {
        MessageState.SETTLED,
        MessageState.HANDED_BACK,
        MessageState.EXPIRED,
    }


@pytest.mark.parametrize("start", MessageState)
@pytest.mark.parametrize("end", MessageState)
def test_a_step_is_taken_or_is_a_bug(start: MessageState, end: MessageState) -> None:
    if end in MESSAGE_MOVES[start]:
        assert protocol.moved(start, end) is end
    else:
        with pytest.raises(IllegalMoveError, match=f"{start} does not become {end}"):
            protocol.moved(start, end)


@pytest.mark.parametrize("happening", Happening)
def test_every_happening_is_decided_and_can_befall_whatever_is_held(happening: Happening) -> None:
    decision = DECISIONS[happening]
    for state in (MessageState.RECEIVED, MessageState.IN_FLIGHT):
        assert decision.state in MESSAGE_MOVES[state] | {state}
    assert (decision.state is MessageState.RECEIVED) is (decision.telling is Telling.KEEP)
    assert (decision.state is MessageState.SETTLED) is (decision.telling in {Telling.DELETE, Telling.DEAD_LETTER})


def test_nothing_but_a_rejection_reaches_the_dead_letter_queue_by_our_hand() -> None:
    assert {h for h, d in DECISIONS.items() if d.telling is Telling.DEAD_LETTER} == {Happening.REJECTED, Happening.NO_EVENT}


# A file


def test_what_is_final_stays_and_what_is_not_may_become_anything() -> None:
    assert {status for status in FileStatus if not FILE_MOVES[status]} == {
        FileStatus.LOADED,
        FileStatus.DUPLICATE,
        FileStatus.SUPERSEDED,
        FileStatus.TESTED,
    }
    assert FILE_MOVES[None] == FILE_MOVES[FileStatus.FAILED] == set(FileStatus)


def test_a_part_goes_where_its_group_goes() -> None:
    assert FILE_MOVES[FileStatus.STAGED] == {FileStatus.LOADED, FileStatus.DUPLICATE, FileStatus.SUPERSEDED, FileStatus.REJECTED}
    assert protocol.verdict(FileStatus.STAGED) is Verdict.DONE


def test_a_passing_trouble_does_not_undo_a_rejection() -> None:
    assert FILE_MOVES[FileStatus.REJECTED] == set(FileStatus) - {FileStatus.FAILED}


@pytest.mark.parametrize("status", FileStatus)
def test_a_message_ends_only_with_a_row_that_is_there_to_stay(status: FileStatus) -> None:
    assert (protocol.verdict(status) is Verdict.RETRY) is (status is FileStatus.FAILED)
    assert (protocol.verdict(status) is Verdict.DONE) is (status not in RETAKEN)


# Failures


@pytest.mark.parametrize("code", [*ErrorCode, None, "invented_later"])
def test_only_a_bug_costs_an_attempt_at_once(code: str | None) -> None:
    bug = code in {"internal_error", "crashed"}
    assert protocol.failure(code, 1) is (Happening.BROKEN if bug else Happening.FAILED)
    assert protocol.failure(code, protocol.MOST_OWN_FAILURES - 1) is (Happening.BROKEN if bug else Happening.FAILED)
    assert protocol.failure(code, protocol.MOST_OWN_FAILURES) is (Happening.BROKEN if bug else Happening.OWN_TROUBLE)


def test_what_people_read_names_the_bounds() -> None:
    assert f" {protocol.MOST_OWN_FAILURES} times" in Happening.OWN_TROUBLE
    assert f" {protocol.LONGEST_HOLD_S / 3600} h" in Happening.HELD_TOO_LONG


@pytest.mark.parametrize(
    ("in_hand", "files", "others", "stall"),
    [(200, 1, True, True), (600, 1, True, True), (199, 1, True, False), (0, 1, True, False), (600, 2, True, False), (600, 1, False, False)],
)
def test_a_silent_chain_is_held_against_its_file_only_if_nothing_else_explains_it(
    in_hand: float, files: int, others: bool, stall: bool
) -> None:
    assert protocol.is_stall(in_hand, 600, files=files, others_went_through=others) is stall


def test_a_stall_can_be_seen() -> None:
    assert protocol.LOOK_AFTER + protocol.LONG_IN_HAND < 1


# Pauses and deadlines


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_nothing_that_looks_for_a_dependency_waits_longer_than_recovery_allows(probes: int, chance: float) -> None:
    assert 0.5 <= protocol.probe_pause(probes, chance) <= 5


@given(st.integers(0, 10**6))
def test_the_pause_of_a_file_grows_up_to_a_bound(own_failures: int) -> None:
    assert 1 <= protocol.retry_pause(own_failures) <= protocol.retry_pause(own_failures + 1) <= protocol.LONGEST_RETRY_S


@pytest.mark.parametrize(("receives", "visibility", "pause"), [(1, 120, 30), (2, 120, 60), (5, 120, 150), (1, 10, 2), (100, 43_200, 900)])
def test_what_is_handed_back_waits_longer_each_time(receives: int, visibility: int, pause: int) -> None:
    assert protocol.back_pause(receives, visibility) == pause


def test_a_deadline_allows_for_the_size() -> None:
    assert protocol.allowance(0, 600) == 600
    assert protocol.allowance(20_000_000_000, 600) == 10_600


# Breakers


@pytest.mark.parametrize("dependency", Dependency)
def test_a_breaker_opens_at_so_many_failures_in_a_row_and_closes_at_the_first_success(dependency: Dependency) -> None:
    breaker = Breaker.of(dependency)
    enough = 2 if dependency in SPEAKS_OF.values() else 1
    assert [breaker.failed(100.0 + n) for n in range(4)] == [n == enough - 1 for n in range(4)]
    assert breaker.worked(110.0) == 10.0 - (enough - 1)
    assert breaker.worked(111.0) is None
    assert breaker.failed(112.0) is (enough == 1)


ALL = {Dependency.DATABASE, Dependency.STORAGE, Dependency.SPOOL, Dependency.WORKERS}
LEDGER = {Dependency.DATABASE, Dependency.WORKERS}


def test_a_success_between_two_failures_makes_them_no_outage() -> None:
    breaker = Breaker.of(Dependency.DATABASE)
    for moment in (1.0, 3.0, 5.0):
        assert breaker.failed(moment) is False
        assert breaker.worked(moment + 1) is None


@pytest.mark.parametrize(
    ("verdict", "decrypted", "dependencies"),
    [
        (Verdict.DONE, True, ALL),
        (Verdict.DONE, False, LEDGER),
        (Verdict.DONE, None, ALL),
        (Verdict.REJECTED, True, ALL),
        (Verdict.REJECTED, False, LEDGER),
        (Verdict.REJECTED, None, LEDGER),
        (Verdict.RETRY, True, {Dependency.WORKERS}),
        (Verdict.RETRY, False, {Dependency.WORKERS}),
        (Verdict.RETRY, None, {Dependency.WORKERS}),
    ],
)
def test_an_outcome_proves_what_it_needed(verdict: Verdict, decrypted: bool | None, dependencies: set[Dependency]) -> None:
    """None: from a loader that does not say yet."""
    said = settlement(file_ref(), verdict).model_copy(update={"decrypted": decrypted})
    assert protocol.proven(said) == dependencies
