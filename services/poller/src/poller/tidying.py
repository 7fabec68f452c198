"""What S3 is still to be told of a message whose files all have their fate. Pure; `poller.in_flight` calls it under its lock.

A message is told to SQS as settled only when its receipts are put and its objects are tagged or deleted, or given up: killed before, SQS
hands it out again, the ledger knows the fate, and the wish comes with it. All of it may be done twice: a receipt never goes over a newer
one, tagging twice is harmless, and a version that is gone is deleted. The message of the part that completed a group sees to the objects
of all.
"""

from poller.held import Held, Told
from shared import protocol
from shared.contract import AfterLoad, Chore, Problem, Tidied
from shared.errors import ErrorCode
from shared.protocol import NEVER, SPEAKS_OF, Happening

LATE = Problem(
    error_code=ErrorCode.TIMEOUT, message="no decryptor did it within HIKYAKU_TASK_DEADLINE: is there one of this version?", retry=True
)
BROKEN = Problem(
    error_code=ErrorCode.INTERNAL_ERROR, message="the task failed in a way that nobody foresaw: see the decryptor's log", retry=True
)
NO_RECEIPT = Problem(
    error_code=ErrorCode.RECEIPT_REFUSED, message="the decryptor is of a version that puts no receipts: upgrade it", retry=False
)
NO_REJECTS = Problem(
    error_code=ErrorCode.RECEIPT_REFUSED, message="the decryptor is of a version that returns no records: upgrade it", retry=False
)


def begin(held: Held) -> None:
    """All files have their fate: what was held against them is of the past, and their objects are due at once."""
    held.wait(Happening.TIDY)
    held.probed_at = NEVER
    held.own_failures, held.failed_after, held.problem, held.parcel_id = 0, -1, None, ""


def shortcoming(held: Held, parcel_id: str, tidied: Tidied) -> Problem | None:
    """Why a chore is not done, if it is not.

    A chain may tell of a receipt that is of the past: the file's fate has changed since (a rejected one may be loaded after all). Then the
    new one is due at once, which is no failure.
    """
    chore = next((chore for chore in held.untidied if chore.file.file_id == tidied.file_id), None)
    if chore is None:
        return tidied.problem
    if tidied.problem is not None:
        # What is only a receipt, an older decryptor takes for something to do with the object, and refuses that.
        blind = chore.after_load == AfterLoad.KEEP and tidied.problem.error_code == ErrorCode.TIDY_REFUSED
        return NO_RECEIPT if blind else tidied.problem
    if chore.receipt is None or tidied.receipt == chore.receipt.name:
        if chore.returned and not tidied.returned:
            return NO_REJECTS
        held.tidied[tidied.file_id] = ()
        return None
    if tidied.receipt is None:
        return NO_RECEIPT
    if held.under_way and held.parcel_id == parcel_id:
        held.wait(Happening.TIDY)
    return None


def failed(held: Held, file_id: str, problem: Problem, now: float, also: str | None = None) -> None:
    """An object was neither tagged nor deleted, or a receipt not put: it is due again after a pause, or given up.

    Args:
        held: its message; should the world be to blame, its failures are counted already.
        file_id: of its file.
        problem: why.
        now: seconds.
        also: error code of the other half, where neither is done.
    """
    refusals = held.refusals.get(file_id, 0)
    if problem.error_code not in SPEAKS_OF:
        refusals = held.refusals[file_id] = refusals + 1
    if not problem.retry or refusals >= protocol.TIDY_TRIES or held.own_failures >= protocol.MOST_OWN_FAILURES:
        held.tidied[file_id] = tuple(filter(None, (problem.error_code, also)))
    held.wait(Happening.TIDY, now + protocol.retry_pause(max(refusals, held.own_failures)))


def results(held: Held) -> tuple[Told, ...]:
    """What became of the chores of a message that is let go; nothing of those that are still open."""
    return tuple(_told(chore, held.tidied[file_id]) for file_id, chore in held.all_wanted.items() if file_id in held.tidied)


def _told(chore: Chore, codes: tuple[str, ...]) -> Told:
    """What S3 refuses of one half says nothing against the other."""
    its_object, its_receipt = chore.after_load != AfterLoad.KEEP, chore.receipt is not None
    return Told(
        chore.file.key,
        object=_but(ErrorCode.RECEIPT_REFUSED, codes) if its_object else None,
        receipt=_but(ErrorCode.TIDY_REFUSED, codes) if its_receipt else None,
    )


def _but(others: ErrorCode, codes: tuple[str, ...]) -> str:
    """The first code that is not only the other half's; empty if there is none."""
    return next((code for code in codes if code != others), "")
