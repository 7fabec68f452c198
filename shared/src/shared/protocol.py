"""The protocol: in which states a message and a file can be, and what each outcome means for the message.

Pure: no I/O and no clock of its own; times (seconds of any one monotonic clock) and chance (0 to 1) are arguments. Poller and
loader call it, docs/architecture.md shows it, and a test holds the two together.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from shared.contract import Settlement, Verdict
from shared.errors import ErrorCode

NEVER = -math.inf


class IllegalMoveError(Exception):
    """A bug: the protocol has no such step."""


# A message


class MessageState(StrEnum):
    """Where a message is, as the poller that received it sees it."""

    RECEIVED = "received"
    """Held, its files wait for their (re)submission."""
    IN_FLIGHT = "in flight"
    """Held, its chain is under way."""
    SETTLED = "settled"
    """Let go: every file has its final fate."""
    HANDED_BACK = "handed back"
    """Let go: SQS hands it out again."""
    EXPIRED = "expired"
    """Let go: it was silent or held for too long."""


_LET_GO = frozenset({MessageState.SETTLED, MessageState.HANDED_BACK, MessageState.EXPIRED})
MESSAGE_MOVES: Mapping[MessageState, frozenset[MessageState]] = MappingProxyType(
    {
        MessageState.RECEIVED: frozenset({MessageState.IN_FLIGHT}) | _LET_GO,
        MessageState.IN_FLIGHT: frozenset({MessageState.RECEIVED}) | _LET_GO,
        **dict.fromkeys(sorted(_LET_GO), frozenset()),
    }
)


def moved(state: MessageState, to: MessageState) -> MessageState:
    """The new state of a message.

    Raises:
        IllegalMoveError: there is no such step.
    """
    if to not in MESSAGE_MOVES[state]:
        raise IllegalMoveError(f"a message that is {state} does not become {to}")
    return to


# A file


class FileStatus(StrEnum):
    """What can become of a file: the ledger's states. Before the first there is no row: nothing was claimed."""

    LOADED = "loaded"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    TESTED = "tested"
    STAGED = "staged"
    """A part of a group, kept in the database until the others are there too."""
    REJECTED = "rejected"
    FAILED = "failed"


RETAKEN = frozenset({FileStatus.REJECTED, FileStatus.FAILED})
"""May be taken up again, with any end: for their messages the others are final (loader/sql/claim.sql)."""
FILE_MOVES: Mapping[FileStatus | None, frozenset[FileStatus]] = MappingProxyType(
    {
        None: frozenset(FileStatus),
        **{status: frozenset(FileStatus if status in RETAKEN else ()) for status in FileStatus},
        # Its message is done with: the transaction that ends its group moves it on.
        FileStatus.STAGED: frozenset({FileStatus.LOADED, FileStatus.DUPLICATE, FileStatus.SUPERSEDED, FileStatus.REJECTED}),
        # Not failed: another copy of its task, late and with the spool file gone, must not say that it is being tried again.
        FileStatus.REJECTED: frozenset(FileStatus) - {FileStatus.FAILED},
    }
)


def verdict(status: FileStatus) -> Verdict:
    """What a file's status means for its message."""
    return {FileStatus.REJECTED: Verdict.REJECTED, FileStatus.FAILED: Verdict.RETRY}.get(status, Verdict.DONE)


TIDIED = frozenset({FileStatus.LOADED, FileStatus.DUPLICATE})
"""Whose object a dataset may want tagged or deleted: its content was loaded. A superseded version's was not; S3 may have its only copy."""


# Decisions


class Happening(StrEnum):
    """What can happen to a message."""

    DONE = "every file is loaded, duplicate, superseded, tested or staged"
    REJECTED = "every file has its fate, one of them is rejected"
    TIDY = "every file has its fate, and S3 is still to be told of one"
    NOT_OURS = "it announces nothing of ours"
    NO_EVENT = "it is no event"
    FAILED = "a file failed, and the world may heal"
    OWN_TROUBLE = "a file failed 12 times while others went through"
    BROKEN = "a file failed by a bug (`internal_error`, `crashed`)"
    CHAIN_FAILED = "a task raised, or met a newer payload"
    BROKER_AWAY = "Redis did not take its chain"
    BROKER_FORGOT = "Redis lost its memory, or was away, and no worker has its chain"
    WAITING = "its chain passed the deadline for the first or second time, the workers answer, and none of them has it"
    SILENT = "its chain passed the deadline otherwise, and the workers answer"
    STALLED = "its chain passed the deadline for the third time in a worker's hands, while other files went through"
    WORKERS_AWAY = "its chain passed the deadline, and no decryptor or no loader answers"
    HELD_TOO_LONG = "it was held for 11.5 h, nearly what SQS allows"
    REFUSED = "SQS refuses its receipt handle"
    LETTER_REFUSED = "SQS refuses its dead letter"
    STOP = "the poller stops"


class Telling(StrEnum):
    """What SQS is told."""

    DELETE = "delete"
    DEAD_LETTER = "copy to the dead-letter queue, then delete"
    KEEP = "nothing: the heartbeat goes on"
    BACK = "visible after a pause that grows with its receives"
    BACK_NOW = "visible at once"
    FORGET = "nothing: it is no longer ours"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a happening means for the message."""

    state: MessageState
    telling: Telling


_SETTLE = Decision(MessageState.SETTLED, Telling.DELETE)
_REJECT = Decision(MessageState.SETTLED, Telling.DEAD_LETTER)
_HOLD = Decision(MessageState.RECEIVED, Telling.KEEP)
_HAND_BACK = Decision(MessageState.HANDED_BACK, Telling.BACK)
_EXPIRE = Decision(MessageState.EXPIRED, Telling.BACK)
DECISIONS: Mapping[Happening, Decision] = MappingProxyType(
    {
        Happening.DONE: _SETTLE,
        Happening.REJECTED: _REJECT,
        # Given up in the end: no refusal of S3's sends a loaded file to the dead-letter queue.
        Happening.TIDY: _HOLD,
        Happening.NOT_OURS: _SETTLE,
        Happening.NO_EVENT: _REJECT,
        Happening.FAILED: _HOLD,
        Happening.OWN_TROUBLE: _HAND_BACK,
        Happening.BROKEN: _HAND_BACK,
        Happening.CHAIN_FAILED: _HAND_BACK,
        Happening.BROKER_AWAY: _HOLD,
        Happening.BROKER_FORGOT: _HOLD,
        # It stands in a long line, or its task was lost: neither is an attempt at the file.
        Happening.WAITING: _HOLD,
        Happening.SILENT: _EXPIRE,
        # Tried no more: its next chain asks the loader to reject it, unless it was loaded after all.
        Happening.STALLED: _HOLD,
        Happening.WORKERS_AWAY: _EXPIRE,
        Happening.HELD_TOO_LONG: _EXPIRE,
        Happening.REFUSED: Decision(MessageState.EXPIRED, Telling.FORGET),
        Happening.LETTER_REFUSED: _HAND_BACK,
        Happening.STOP: Decision(MessageState.HANDED_BACK, Telling.BACK_NOW),
    }
)

MOST_OWN_FAILURES = 12
"""Failures of a file, each after another file had gone through, before SQS is to count an attempt."""
PATIENT_AFTER = 3
"""From so many own failures on, a file keeps its pause even when a dependency comes back: it is probably sick itself."""


def failure(error_code: str | None, own_failures: int) -> Happening:
    """What a transient failure is: a bug, the file's own trouble, or the world's."""
    if error_code in {ErrorCode.INTERNAL_ERROR, ErrorCode.CRASHED}:
        return Happening.BROKEN
    return Happening.OWN_TROUBLE if own_failures >= MOST_OWN_FAILURES else Happening.FAILED


TIDY_TRIES = 3
"""How often S3 may refuse a file's receipt, tag or deletion, or the chain that should bring it be lost, before it is left out."""
MOST_WAITS = 2
"""Chains of a message that passed the deadline in nobody's hands, before SQS is to count an attempt: a file that takes its whole worker
with it, again and again, looks the same."""
STALLS = 3
"""Chains of a message that stalled, before it is rejected."""
LOOK_AFTER = 1 / 2
"""From this part of its allowance on, a chain takes long: the workers are asked whether they have it."""
LONG_IN_HAND = 1 / 3
"""What part of its allowance a worker must have had a chain, up to its deadline, for it to be a stall."""


def is_stall(in_hand: float, allowed: float, *, files: int, others_went_through: bool) -> bool:
    """Whether a silent chain is held against its file.

    Not if it waited in line or was lost: then nobody has it. Not if the world was slow: then nothing else went through either. Not if
    its message announces several files: nobody knows which it is.

    Args:
        in_hand: seconds for which one run of a worker has been seen to have it, up to now.
        allowed: its allowance, seconds.
        files: of its message.
        others_went_through: whether another file was done since the silence before, or since it was submitted.
    """
    return files == 1 and others_went_through and in_hand >= LONG_IN_HAND * allowed


# Pauses and deadlines

LONGEST_HOLD_S = 11.5 * 3600
"""SQS ends a message's invisibility 12 h after its receive, whatever the heartbeat says (ChangeMessageVisibility)."""
BYTES_PER_SECOND = 2_000_000
"""The slowest pace that a deadline allows for."""
LONGEST_RETRY_S = 300.0
LONGEST_PROBE_S = 5.0
"""Recovery is promised within 10 s: nothing that looks for a dependency waits longer than this."""
STEADY_S = 4.0
"""Seconds for which Redis must be there again before the workers are asked what they have in hand: they look for it every 5 s."""
LONGEST_BACK_S = 900
_ENOUGH_DOUBLINGS = 10
"""Beyond it every bound is reached, and a float would overflow in the end."""


def doubling(tries: int, longest: float) -> float:
    """Seconds after `tries` failures: 1, 2, 4, …, never more than `longest`."""
    return min(2.0 ** min(tries, _ENOUGH_DOUBLINGS), longest)


def retry_pause(own_failures: int) -> float:
    """Seconds until a file that failed is tried again, should no outage be known."""
    return doubling(max(own_failures - 1, 0), LONGEST_RETRY_S)


def probe_pause(probes: int, chance: float) -> float:
    """Seconds until a dependency that is away is tried again: up to 5, less up to half of it by chance."""
    return doubling(probes, LONGEST_PROBE_S) * (0.5 + chance / 2)


def back_pause(receive_count: int, visibility_timeout: int) -> int:
    """Seconds for which SQS keeps back a message that was handed back, a quarter of the visibility timeout per receive.

    Without it a message that nobody can do anything with yet (its payload is too new for workers that are being replaced) would
    be in the dead-letter queue within a second.
    """
    return min(receive_count * max(visibility_timeout // 4, 1), LONGEST_BACK_S)


def allowance(size: int, task_deadline: float) -> float:
    """Seconds that a chain may be silent, by the bytes of its message's files."""
    return task_deadline + size / BYTES_PER_SECOND


# Outages


class Dependency(StrEnum):
    """What the line can't do without."""

    DATABASE = "postgresql"
    STORAGE = "s3"
    SPOOL = "spool"
    BROKER = "redis"
    WORKERS = "workers"
    QUEUE = "sqs"
    """Receiving."""
    SETTLING = "sqs settling"
    """Extending, deleting, handing back, dead letters."""


SPEAKS_OF: Mapping[str, Dependency] = MappingProxyType(
    {
        ErrorCode.DATABASE_UNAVAILABLE: Dependency.DATABASE,
        ErrorCode.STORAGE_UNAVAILABLE: Dependency.STORAGE,
        ErrorCode.SPOOL_UNAVAILABLE: Dependency.SPOOL,
    }
)
"""Error codes that tell of a dependency. All others are taken for the file's own, a lock on its one table (`timeout`) included."""
PROBED = frozenset(SPEAKS_OF.values())
"""Away, only a file can tell whether they are back."""
STOPS_RECEIVING = PROBED | {Dependency.BROKER, Dependency.WORKERS}
IN_A_ROW = 2
"""Failures of a probed dependency with no success between that make an outage: one may be a blip, or one file's."""


def proven(settlement: Settlement) -> frozenset[Dependency]:
    """What must have been there for this outcome.

    Of a final one the ledger's row is committed. S3 may not have been asked: the ledger knew the file already, or the decryptor saw
    enough without. An older loader, which does not say, is taken to have decrypted what is done.
    """
    if settlement.verdict is Verdict.RETRY:
        return frozenset({Dependency.WORKERS})
    decrypted = settlement.verdict is Verdict.DONE if settlement.decrypted is None else settlement.decrypted
    return frozenset({Dependency.WORKERS}) | (PROBED if decrypted else {Dependency.DATABASE})


@dataclass(slots=True)
class Breaker:
    """Whether one dependency is there, judged by what is heard of it."""

    in_a_row: int = 1
    failures: int = 0
    opened: float | None = None
    """Since when it is away."""

    @classmethod
    def of(cls, dependency: Dependency) -> "Breaker":
        """A breaker that takes the dependency for well."""
        return cls(IN_A_ROW if dependency in PROBED else 1)

    def failed(self, now: float) -> bool:
        """Note a failure. Returns whether this one made it an outage."""
        self.failures += 1
        if self.opened is not None or self.failures < self.in_a_row:
            return False
        self.opened = now
        return True

    def worked(self, now: float) -> float | None:
        """Note a success. Returns how long the outage was that it ends, None when there was none."""
        opened, self.opened, self.failures = self.opened, None, 0
        return None if opened is None else now - opened
