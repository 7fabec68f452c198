"""The messages that this poller holds: newest receipt handle, what became of each file, deadline. Pure: it calls no I/O.

A lost registry costs nothing but a visibility timeout: SQS redelivers, and the ledger says what was already done.
"""

import threading
from collections.abc import Callable, Container, Iterable

from poller import tidying
from poller.held import Finished, Held
from poller.sqs import Message
from shared import protocol
from shared.contract import FileRef, Problem, Settlement, Tidied, Verdict
from shared.protocol import DECISIONS, NEVER, Happening, MessageState


class InFlight:
    """Thread-safe registry; every method returns at once."""

    def __init__(self, clock: Callable[[], float], task_deadline: float, max_bytes: int) -> None:
        self._clock = clock
        self._task_deadline = task_deadline
        self._max_bytes = max_bytes
        self._held: dict[str, Held] = {}
        self._went_through = 0
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

    # Submitting

    def take_due(self, *, chores_only: bool = False) -> list[Held]:
        """Messages whose files should enter the pipeline now, as many as the bytes under way allow; their deadlines start.

        Args:
            chores_only: only those whose files are to be tagged or deleted.
        """
        with self._lock:
            now = self._clock()
            due = (h for h in self._held.values() if not h.under_way and h.submit_at <= now and (h.untidied or not chores_only))
            return self._start(sorted(due, key=lambda h: h.received))

    def take_probe(self, *, chores: bool = True) -> list[Held]:
        """The one message that should try whether a dependency is back: they take turns, so that a sick one can't hide the recovery.

        Args:
            chores: whether it would show with a file that is only to be tagged or deleted.
        """
        with self._lock:
            now = self._clock()
            waiting = [h for h in self._held.values() if not h.under_way and not h.is_patient(now) and (chores or not h.untidied)]
            probe = self._start(sorted(waiting, key=lambda h: (h.probed_at, bool(h.untidied), h.size)), most=1)
            for held in probe:
                held.probed_at = now
            return probe

    def all_probed(self, since: float, *, chores: bool = True) -> bool:
        """Whether every message had its turn after `since`, and none of them is under way. `chores` as in `take_probe`."""
        with self._lock:
            now = self._clock()
            asked = (h for h in self._held.values() if chores or not h.untidied)
            return all(not h.under_way and (h.probed_at > since or h.is_patient(now)) for h in asked)

    def _start(self, waiting: Iterable[Held], most: int | None = None) -> list[Held]:
        """Start these, in order. A file that is under way for another message waits: they would take the spool's file from one another."""
        under_way = sum(h.size for h in self._held.values() if h.under_way)
        busy = {file.file_id for h in self._held.values() if h.under_way for file in h.unsettled}
        started: list[Held] = []
        for held in waiting:
            files = {file.file_id for file in held.unsettled}
            if files & busy:
                continue
            if len(started) == most or (under_way and under_way + held.size > self._max_bytes):
                break
            busy |= files
            under_way += held.size
            held.move(MessageState.IN_FLIGHT)
            held.chores = held.untidied
            held.begun, held.deadline = self._clock(), self._deadline(held)
            held.went_before = self._went_through
            started.append(held)
        return started

    def _deadline(self, held: Held) -> float:
        return self._clock() + self._allowance(held)

    def _allowance(self, held: Held) -> float:
        return protocol.allowance(held.size, self._task_deadline)

    def postpone(self, message_ids: Iterable[str]) -> None:
        """Redis did not take these: they wait until it is there."""
        with self._lock:
            for message_id in message_ids:
                if held := self._held.get(message_id):
                    held.move(DECISIONS[Happening.BROKER_AWAY].state)

    def begun_before(self, moment: float) -> list[str]:
        """Parcel ids of the chains under way that were submitted before then."""
        with self._lock:
            return sorted({held.parcel_id for held in self._held.values() if held.under_way and held.parcel_id and held.begun < moment})

    def resubmit_all(self, only: Container[str] | None = None) -> int:
        """The broker has lost its memory: everything held enters the pipeline again. Returns how many messages.

        Args:
            only: parcel ids of the chains that it has lost, should it not be all.
        """
        with self._lock:
            lost = [held for held in self._held.values() if held.under_way and (only is None or held.parcel_id in only)]
            for held in lost:
                held.move(DECISIONS[Happening.BROKER_FORGOT].state)
            return len(lost)

    def due_at_once(self) -> None:
        """What was away is back: nobody waits any longer, but for those that are probably sick themselves."""
        with self._lock:
            for held in self._held.values():
                if held.own_failures < protocol.PATIENT_AFTER:
                    held.submit_at = NEVER

    def restart_deadlines(self) -> None:
        """Nobody could work for a while: a deadline counts only time in which somebody could. What has expired is due at once."""
        with self._lock:
            now = self._clock()
            for held in self._held.values():
                held.deadline = self._deadline(held)
                if held.under_way and held.begun + self._allowance(held) <= now:
                    held.wait(Happening.WAITING)

    # Settling

    def settle(self, settlement: Settlement, parcel_id: str = "") -> Finished | None:
        """Note a file's fate. Returns its message if that lets it go; None for a message not held.

        Args:
            settlement: what became of it.
            parcel_id: of the chain that says so; the newest unless told. What an older one says of its failure is of no account.
        """
        with self._lock:
            self._went_through += settlement.verdict is Verdict.DONE
            held = self._held.get(settlement.message_id)
            if held is None:
                return None
            was_tidying = bool(held.untidied)
            if settlement.verdict is Verdict.RETRY:
                is_older = was_tidying or (parcel_id and parcel_id != held.parcel_id)
                return None if is_older else self._failed(held, settlement)
            again = held.settle(settlement)
            if held.unsettled:
                return None
            if held.untidied and not was_tidying:
                tidying.begin(held)
            elif held.untidied and again:
                held.wait(Happening.TIDY)
            return self._end_if_tidy(held)

    def tidied(self, parcel_id: str, tidied: Tidied) -> Finished | None:
        """Note what became of a file's object. Returns its message if that lets it go; None for a message not held."""
        with self._lock:
            held = self._held.get(tidied.message_id)
            if held is None or not held.untidied:
                return None
            problem = tidying.shortcoming(held, parcel_id, tidied)
            if problem is not None and held.parcel_id == parcel_id:
                self._not_tidied(held, tidied.file_id, problem, tidied.also)
            return self._end_if_tidy(held)

    def tidy_overdue(self) -> list[Finished]:
        """Messages whose objects nobody tagged or deleted within the deadline are due at once, a few times. Returns those given up."""
        now = self._clock()
        return self._chores_lost(lambda held: held.is_overdue(now), tidying.LATE)

    def tidy_parcel_failed(self, parcel_id: str) -> list[Finished]:
        """The chain that should tag or delete failed in a way that nobody foresaw. Returns the messages that are given up for it."""
        now = self._clock()
        return self._chores_lost(lambda held: held.parcel_id == parcel_id and not held.is_overdue(now), tidying.BROKEN)

    def _chores_lost(self, lost: Callable[[Held], bool], problem: Problem) -> list[Finished]:
        with self._lock:
            for held in (concerned := [h for h in self._held.values() if h.untidied and h.under_way and lost(h)]):
                for chore in held.untidied:
                    self._not_tidied(held, chore.file.file_id, problem)
            return [finished for held in concerned if (finished := self._end_if_tidy(held))]

    def _not_tidied(self, held: Held, file_id: str, problem: Problem, also: str | None = None) -> None:
        if problem.error_code in protocol.SPEAKS_OF:
            self._count_failure(held)
        tidying.failed(held, file_id, problem, self._clock(), also)

    def _end_if_tidy(self, held: Held) -> Finished | None:
        if held.untidied:
            return None
        rejection = next((s for s in held.settled.values() if s.verdict is Verdict.REJECTED), None)
        return self._let_go(held, Happening.REJECTED if rejection else Happening.DONE, rejection)

    def _count_failure(self, held: Held) -> None:
        if held.failed_after != self._went_through:
            held.own_failures += 1
        held.failed_after = self._went_through

    def _failed(self, held: Held, settlement: Settlement) -> Finished | None:
        self._count_failure(held)
        happening = protocol.failure(settlement.error_code, held.own_failures)
        if DECISIONS[happening].state is not MessageState.RECEIVED:
            return self._let_go(held, happening)
        held.wait(happening, self._clock() + protocol.retry_pause(held.own_failures))
        held.retries += 1
        return None

    # Letting go

    def _let_go(self, held: Held, happening: Happening, rejection: Settlement | None = None) -> Finished:
        del self._held[held.message.message_id]
        held.move(DECISIONS[happening].state)
        return Finished(held.message, happening, rejection, held.key, tidying.results(held))

    def drop_receipts(self, receipts: Iterable[tuple[str, str]]) -> None:
        """Stop holding messages that are still held by just these receipt handles: a newer one is good."""
        with self._lock:
            for message_id, handle in receipts:
                if (held := self._held.get(message_id)) and held.message.receipt_handle == handle:
                    self._let_go(held, Happening.REFUSED)

    def drop_parcel(self, parcel_id: str) -> list[Finished]:
        """Let go of the messages whose newest chain is this one: it failed.

        Not past its deadline: then a worker has killed it for its silence, which is judged as such.
        """
        now = self._clock()
        return self._drop(
            lambda held: held.parcel_id == parcel_id and not held.is_overdue(now) and not held.untidied, Happening.CHAIN_FAILED
        )

    def drop_all(self) -> list[Finished]:
        """Let go of everything: the poller stops."""
        return self._drop(lambda _: True, Happening.STOP)

    def drop_old(self) -> list[Finished]:
        """Let go of messages held for as long as SQS allows."""
        now = self._clock()
        return self._drop(lambda held: now - held.received >= protocol.LONGEST_HOLD_S, Happening.HELD_TOO_LONG)

    def drop_overdue(self, happening: Happening) -> list[Finished]:
        """Let go of messages whose chain passed its deadline."""
        now = self._clock()
        return self._drop(lambda held: held.is_overdue(now), happening)

    def slow_chains(self) -> dict[str, bool]:
        """Parcel ids of the chains that take long, each with whether it is overdue."""
        with self._lock:
            now, rest = self._clock(), 1 - protocol.LOOK_AFTER
            loads = (h for h in self._held.values() if h.under_way and h.parcel_id and not h.untidied)
            slow = [h for h in loads if h.deadline - now <= rest * self._allowance(h)]
            return {held.parcel_id: held.is_overdue(now) for held in slow}

    def reject_overdue(self, problem: Problem, is_hopeless: Callable[[Held, float, int], bool]) -> list[Held]:
        """Messages past their deadline that are hopeless are due at once, to be rejected with this problem; returns them.

        Args:
            problem: why.
            is_hopeless: asked of each but those that were to be rejected already, with its allowance in seconds, and how many files
                have gone through by now.
        """
        with self._lock:
            now = self._clock()
            overdue = [held for held in self._held.values() if held.is_overdue(now) and held.problem is None]
            hopeless = [h for h in overdue if is_hopeless(h, self._allowance(h), self._went_through)]
            for held in hopeless:
                held.wait(Happening.STALLED)
                held.problem = problem
            return hopeless

    def resubmit_waiting(self, is_in_hand: Callable[[str], bool]) -> list[Held]:
        """Messages past their deadline whose chain waits in line or was lost are due at once, a few times; returns them.

        Args:
            is_in_hand: asked of a parcel's id, whether a worker was seen with it.
        """
        with self._lock:
            now = self._clock()
            overdue = [h for h in self._held.values() if h.is_overdue(now) and h.waits < protocol.MOST_WAITS]
            waiting = [held for held in overdue if not is_in_hand(held.parcel_id)]
            for held in waiting:
                held.wait(Happening.WAITING)
                held.waits += 1
            return waiting

    def has_overdue(self) -> bool:
        """Whether a chain passed its deadline."""
        with self._lock:
            now = self._clock()
            return any(held.is_overdue(now) for held in self._held.values())

    def _drop(self, wanted: Callable[[Held], bool], happening: Happening) -> list[Finished]:
        with self._lock:
            return [self._let_go(held, happening) for held in list(self._held.values()) if wanted(held)]

    def keys(self) -> list[str]:
        """The key of every held message's first file."""
        with self._lock:
            return [held.key for held in self._held.values()]

    def receipts(self) -> dict[str, str]:
        """Newest receipt handle of every held message, for the heartbeat."""
        with self._lock:
            return {message_id: h.message.receipt_handle for message_id, h in self._held.items()}
