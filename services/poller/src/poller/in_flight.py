"""The messages that this poller holds: newest receipt handle, what became of each file, deadline. Pure: it calls no I/O.

A lost registry costs nothing but a visibility timeout: SQS redelivers, and the ledger says what was already done.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from poller import backoff
from poller.sqs import Message
from shared.contract import FileRef, Settlement, Verdict

LONGEST_HOLD_S = 11.5 * 3600
"""SQS ends a message's invisibility 12 h after its receive, whatever the heartbeat says (ChangeMessageVisibility)."""
BYTES_PER_SECOND = 2_000_000
"""The slowest pace that a deadline allows for."""
LONGEST_BACKOFF_S = 60.0


@dataclass(slots=True)
class Held:
    """One message in flight. Times are seconds of the registry's clock."""

    message: Message
    files: tuple[FileRef, ...]
    received: float
    deadline: float | None = None
    """None while the message waits for its (re)submission."""
    submit_at: float = 0.0
    parcel_id: str = ""
    """Of its newest chain: what an older one still says about its failure is of no account."""
    retries: int = 0
    settled: dict[str, Settlement] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Ciphertext bytes of its files."""
        return sum(file.size for file in self.files)

    @property
    def unsettled(self) -> tuple[FileRef, ...]:
        """Files that still have no final fate."""
        return tuple(file for file in self.files if file.file_id not in self.settled)


@dataclass(frozen=True, slots=True)
class Finished:
    """A message all of whose files have a final fate; `rejection` is the first rejected one's settlement."""

    message: Message
    rejection: Settlement | None


class InFlight:
    """Thread-safe registry; every method returns at once."""

    def __init__(self, clock: Callable[[], float], task_deadline: float, max_bytes: int) -> None:
        self._clock = clock
        self._task_deadline = task_deadline
        self._max_bytes = max_bytes
        self._held: dict[str, Held] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, message: Message, files: tuple[FileRef, ...]) -> bool:
        """Begin to hold a message; False when it is held already: then only its receipt handle is renewed."""
        with self._lock:
            if held := self._held.get(message.message_id):
                held.message = message
                return False
            self._held[message.message_id] = Held(message, files, received=self._clock())
            return True

    def take_due(self) -> list[Held]:
        """Messages whose files should enter the pipeline now, as many as the bytes under way allow; their deadlines start."""
        with self._lock:
            now = self._clock()
            waiting = sorted((h for h in self._held.values() if h.deadline is None and h.submit_at <= now), key=lambda h: h.received)
            under_way = sum(h.size for h in self._held.values() if h.deadline is not None)
            due: list[Held] = []
            for held in waiting:
                if under_way and under_way + held.size > self._max_bytes:
                    break
                under_way += held.size
                held.deadline = now + self._task_deadline + held.size / BYTES_PER_SECOND
                due.append(held)
            return due

    def postpone(self, message_ids: Iterable[str]) -> None:
        """Submit these again later, with exponential backoff: the message stays held, so no receive is burnt."""
        with self._lock:
            for message_id in message_ids:
                if held := self._held.get(message_id):
                    self._back_off(held)

    def _back_off(self, held: Held) -> None:
        held.deadline = None
        held.submit_at = self._clock() + backoff.exponential(held.retries, LONGEST_BACKOFF_S)
        held.retries += 1

    def resubmit_all(self) -> int:
        """The broker has lost its memory: everything held enters the pipeline again. Returns how many messages."""
        with self._lock:
            for held in self._held.values():
                held.deadline = None
            return len(self._held)

    def settle(self, settlement: Settlement) -> Finished | None:
        """Note a file's fate. Returns the message once all of its files have a final one; None for a message not held."""
        with self._lock:
            held = self._held.get(settlement.message_id)
            if held is None:
                return None
            if settlement.verdict is Verdict.RETRY:
                self._back_off(held)
                return None
            held.settled[settlement.file_id] = settlement
            if held.unsettled:
                return None
            del self._held[settlement.message_id]
            rejected = (s for s in held.settled.values() if s.verdict is Verdict.REJECTED)
            return Finished(held.message, next(rejected, None))

    def drop(self, message_ids: Iterable[str]) -> dict[str, str]:
        """Stop holding messages; returns their receipt handles by id."""
        with self._lock:
            dropped = [self._held.pop(message_id, None) for message_id in message_ids]
            return {h.message.message_id: h.message.receipt_handle for h in dropped if h is not None}

    def drop_receipts(self, receipts: Iterable[tuple[str, str]]) -> None:
        """Stop holding messages that are still held by just these receipt handles: a newer one is good."""
        with self._lock:
            for message_id, handle in receipts:
                if (held := self._held.get(message_id)) and held.message.receipt_handle == handle:
                    del self._held[message_id]

    def drop_parcel(self, parcel_id: str) -> dict[str, str]:
        """Stop holding the messages whose newest chain is this one; returns their receipt handles by id."""
        with self._lock:
            members = [message_id for message_id, h in self._held.items() if h.parcel_id == parcel_id]
        return self.drop(members)

    def drop_all(self) -> dict[str, str]:
        """Stop holding everything; returns all receipt handles by id."""
        return self.drop(list(self._held))

    def drop_expired(self) -> dict[str, str]:
        """Stop holding messages past their deadline, or held for as long as SQS allows."""
        with self._lock:
            now = self._clock()
            expired = [
                message_id
                for message_id, h in self._held.items()
                if (h.deadline is not None and h.deadline <= now) or now - h.received >= LONGEST_HOLD_S
            ]
        return self.drop(expired)

    def receipts(self) -> dict[str, str]:
        """Newest receipt handle of every held message, for the heartbeat."""
        with self._lock:
            return {message_id: h.message.receipt_handle for message_id, h in self._held.items()}
