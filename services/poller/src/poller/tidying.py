"""What is left to do with the objects of a message whose files all have their fate. Pure; `poller.in_flight` calls it under its lock.

A message is told to SQS as settled only when its objects are tagged or deleted, or given up: killed before, SQS hands it out again, the
ledger knows the fate, and the wish comes with it. Tagging twice is harmless, and a version that is gone is deleted. The message of the
part that completed a group sees to the objects of all.
"""

from poller.held import Held
from shared import protocol
from shared.contract import Problem
from shared.errors import ErrorCode
from shared.protocol import NEVER, SPEAKS_OF, Happening

LATE = Problem(
    error_code=ErrorCode.TIMEOUT, message="no decryptor did it within HIKYAKU_TASK_DEADLINE: is there one of this version?", retry=True
)
BROKEN = Problem(
    error_code=ErrorCode.INTERNAL_ERROR, message="the task failed in a way that nobody foresaw: see the decryptor's log", retry=True
)


def begin(held: Held) -> None:
    """All files have their fate: what was held against them is of the past, and their objects are due at once."""
    held.wait(Happening.TIDY)
    held.probed_at = NEVER
    held.own_failures, held.failed_after, held.problem, held.parcel_id = 0, -1, None, ""


def failed(held: Held, file_id: str, problem: Problem, now: float) -> None:
    """An object was neither tagged nor deleted: it is due again after a pause, or given up.

    Args:
        held: its message; should the world be to blame, its failures are counted already.
        file_id: of its file.
        problem: why.
        now: seconds.
    """
    refusals = held.refusals.get(file_id, 0)
    if problem.error_code not in SPEAKS_OF:
        refusals = held.refusals[file_id] = refusals + 1
    if not problem.retry or refusals >= protocol.TIDY_TRIES or held.own_failures >= protocol.MOST_OWN_FAILURES:
        held.tidied[file_id] = problem.error_code
    held.wait(Happening.TIDY, now + protocol.retry_pause(max(refusals, held.own_failures)))


def results(held: Held) -> tuple[tuple[str, str], ...]:
    """Keys of the objects that were to be tagged or deleted, each with why it was given up; empty: done."""
    return tuple((chore.file.key, held.tidied[file_id]) for file_id, chore in held.all_wanted.items() if file_id in held.tidied)
