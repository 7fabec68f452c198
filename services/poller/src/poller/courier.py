"""The poller's work: receive, hold, submit, keep alive, settle. Each method does one round; `__main__` runs them in threads."""

import datetime as dt
import random
import threading
from collections.abc import Callable, Iterable

from redis import Redis
from redis.exceptions import RedisError

from poller.events import Created, Ignored, InvalidEventError, parse
from poller.held import Finished, Held, Told
from poller.in_flight import InFlight
from poller.metrics import Metrics
from poller.outages import Outages
from poller.outbox import Outbox
from poller.pause import PauseFile
from poller.pipeline import BROKER_ERRORS, Pipeline, parcels
from poller.settings import PollerSettings
from poller.sqs import SQS_ERRORS, IngestQueue, Message
from poller.stalls import PROBLEM, Hands, Stalls
from shared import protocol
from shared.contract import FileRef, SettledParcel, Settlement, Tidied, Verdict, settle_queue
from shared.errors import ErrorCode
from shared.failpoint import Point, failpoint
from shared.logging import get_logger
from shared.protocol import DECISIONS, Dependency, Happening, Telling

HEARTBEATS_PER_TIMEOUT = 3


class Courier:
    """Sees every message from receive to settle. Its threads share nothing but the registry, the outages and the settle list.

    Args:
        settings: of this poller.
        queue: the ingest queue and its dead-letter queue.
        pipeline: takes parcels.
        broker: to look whether Redis is there.
        clock: seconds, monotonic.
        workers_answer: whether anybody is there to work; asked when a chain is overdue.
        hands: which of the chains that take long a worker is busy with.
        chance: a number from 0 to 1, another each time.
    """

    def __init__(
        self,
        settings: PollerSettings,
        queue: IngestQueue,
        pipeline: Pipeline,
        broker: Redis,
        clock: Callable[[], float],
        *,
        workers_answer: Callable[[], bool] = lambda: True,
        hands: Hands = lambda _: {},
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._pipeline = pipeline
        self._broker = broker
        self._clock = clock
        self._workers_answer = workers_answer
        self._hands = hands
        self._lost_before: float | None = None
        """When Redis was back: what it took before may be lost. None: that was looked for."""
        self._stalls = Stalls(clock, settings.task_deadline, hands)
        self._outbox = Outbox(queue, settings.visibility_timeout)
        self._next_heartbeat = 0.0
        self._epoch_known = False
        self._refused = False
        """Whether Redis took no chain when last asked, though it may answer: out of memory, say, or without a permission."""
        self._witness_at = protocol.NEVER
        self.pause = PauseFile(settings.pause_file)
        self.in_flight = InFlight(clock, settings.task_deadline, settings.max_in_flight_bytes)
        self.outages = Outages(clock, chance, lambda: len(self.in_flight))
        self.metrics = Metrics(clock, self.in_flight.receipts, self.outages, self.pause.is_on)
        self.broker_up = threading.Event()
        self.wake = threading.Event()
        """Set when the keeper has something to do at once."""
        self.room = threading.Event()
        """Set when a slot may have become free."""

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return len(self.in_flight) >= self._settings.max_in_flight

    @property
    def is_paused(self) -> bool:
        """Whether something without which no file can be loaded is away."""
        return self.outages.away(*protocol.STOPS_RECEIVING)

    # Receiving

    def receive(self) -> int:
        """One long poll, bounded by the free slots. Returns how many messages arrived: none in a pause; in an outage none, or a witness."""
        paused = self.is_paused
        if self.is_full or self.pause.is_on() or (paused and not self._needs_witness()):
            return 0
        room = 1 if paused else self._settings.max_in_flight - len(self.in_flight)
        # A long poll's silence would hide for its whole length whether SQS is back.
        wait = 0 if self.outages.away(Dependency.QUEUE) else self._settings.receive_wait
        try:
            messages = self._queue.receive(room, wait)
        except SQS_ERRORS as error:
            self.outages.failed(Dependency.QUEUE, type(error).__name__)
            raise
        self.outages.worked(Dependency.QUEUE)
        self._witness_at = self._clock()
        self.metrics.received(len(messages))
        for message in messages:
            self._accept(message)
        if messages:
            self.submit_due()
        return len(messages)

    def _needs_witness(self) -> bool:
        """Whether all that is held has tried in vain. Should just these files be sick, only another one can show it."""
        began = self.outages.began(*protocol.PROBED)
        if began is None or self.outages.away(Dependency.BROKER, Dependency.WORKERS):
            return False
        return self.in_flight.all_probed(since=max(began, self._witness_at), chores=self.outages.away(Dependency.STORAGE))

    def _accept(self, message: Message) -> None:
        log = get_logger().bind(action="receive", message_id=message.message_id, attempt=message.receive_count)
        try:
            found = parse(message.body, self._settings.bucket)
        except InvalidEventError as error:
            log.warning("event_invalid", error_code=ErrorCode.EVENT_INVALID, reason=str(error))
            self._conclude(Finished(message, Happening.NO_EVENT, _event_rejection(message, str(error))))
            return
        if isinstance(found, Ignored):
            log.info("ignored", reason=found.reason)
            self._conclude(Finished(message, Happening.NOT_OURS))
            return
        files = tuple(_file_ref(created, message) for created in found)
        failpoint(Point.POLLER_RECEIVED, files[0].key)
        # First: once it is held, another thread may settle it.
        self.metrics.held(message.message_id, files)
        if self.in_flight.hold(message, files):
            log.info("received", files=[file.file_id for file in files], keys=[file.key for file in files])
            failpoint(Point.POLLER_HELD, files[0].key)

    # Submitting

    def submit_due(self) -> None:
        """Submit what is due; what Redis does not take stays held and is submitted later."""
        groups = parcels(self._due(), self._settings.parcel_max_files, self._settings.parcel_max_bytes)
        for group in groups:
            if not self._submit(group):
                # Each would cost a socket timeout, and meanwhile no heartbeat leaves.
                self.in_flight.postpone(held.message.message_id for rest in groups for held in rest)

    def _due(self) -> list[Held]:
        if self.outages.away(Dependency.WORKERS) or (self.outages.away(Dependency.BROKER) and not self._refused):
            return []
        if not self.outages.away(Dependency.BROKER, *protocol.PROBED):
            return self.in_flight.take_due()
        # Tagging and deleting take S3 alone, and tell of nothing else.
        chores = self.outages.away(Dependency.BROKER, Dependency.STORAGE)
        due = [] if chores else self.in_flight.take_due(chores_only=True)
        if not self.outages.probe_due():
            return due
        probe = self.in_flight.take_probe(chores=chores)
        # With nothing to ask by, whether it answers has to do.
        self._refused &= bool(probe)
        return [*due, *probe]

    def _submit(self, group: list[Held]) -> bool:
        self.metrics.submitted(group)
        log = get_logger().bind(action="submit", files=[file.file_id for held in group for file in held.travelling])
        try:
            log.info("submitted", parcel=self._pipeline.submit(group))
        except BROKER_ERRORS as error:
            self.in_flight.postpone(held.message.message_id for held in group)
            self._refused = True
            self._broker_failed(error)
            return False
        if self._refused:
            self._refused = False
            self._worked(Dependency.BROKER)
        for held in group:
            failpoint(Point.POLLER_SUBMITTED, held.key)
        return True

    # Settling: called by the Celery worker in this process

    def settle(self, parcel: SettledParcel) -> None:
        """Note what became of a parcel's files; the keeper tells SQS."""
        for settlement in parcel.settlements:
            get_logger().info(
                "settled",
                action="settle",
                message_id=settlement.message_id,
                file=settlement.file_id,
                status=settlement.status,
                error_code=settlement.error_code,
            )
            self.metrics.settled(settlement)
            self._settled(self.in_flight.settle(settlement, parcel.parcel_id))
            if settlement.after_load or settlement.receipt:
                self.wake.set()
            self._learn(settlement)
        # What is done first: a failure may give up all that is left.
        for tidied in sorted(parcel.tidied, key=lambda tidied: tidied.problem is not None):
            self._settled(self.in_flight.tidied(parcel.parcel_id, tidied))
            self._learn_of_storage(tidied)

    def _settled(self, finished: Finished | None) -> None:
        if finished:
            failpoint(Point.POLLER_SETTLED, finished.key)
            self._conclude(finished)

    def _learn(self, settlement: Settlement) -> None:
        """What a file's fate tells of the world."""
        self._worked(*protocol.proven(settlement))
        spoken_of = protocol.SPEAKS_OF.get(settlement.error_code or "")
        if settlement.verdict is Verdict.RETRY and spoken_of:
            self.outages.failed(spoken_of, settlement.error or "")

    def _learn_of_storage(self, tidied: Tidied) -> None:
        """What an object that was to be tagged or deleted tells of S3. A refusal tells nothing."""
        self._worked(Dependency.WORKERS, *([] if tidied.problem else [Dependency.STORAGE]))
        if tidied.problem and (spoken_of := protocol.SPEAKS_OF.get(tidied.problem.error_code)):
            self.outages.failed(spoken_of, tidied.problem.message)

    def _worked(self, *which: Dependency) -> None:
        back = self.outages.worked(*which)
        if Dependency.BROKER in back:
            self._lost_before = self._clock()
        if back & {Dependency.BROKER, Dependency.WORKERS}:
            self.in_flight.restart_deadlines()
        if not back or self.is_paused:
            return
        self.in_flight.due_at_once()
        self.wake.set()
        self.room.set()

    def settle_failed(self, parcel_id: str) -> None:
        """A task failed in a way that nobody foresaw: give the messages back to SQS, which counts the attempt."""
        self._conclude(*self.in_flight.tidy_parcel_failed(parcel_id))
        dropped = self.in_flight.drop_parcel(parcel_id)
        if not dropped:
            # Of an older chain, or of one whose silence is judged.
            return
        message_ids = [finished.message.message_id for finished in dropped]
        get_logger().error("chain_failed", action="settle", parcel=parcel_id, message_ids=message_ids)
        self._conclude(*dropped)

    def _conclude(self, *finished: Finished) -> None:
        """Note what SQS is to be told of messages that are held no longer."""
        for each in finished:
            self.metrics.let_go(each.message.message_id, DECISIONS[each.happening].telling)
            for told in each.tidied:
                self._told(each.message.message_id, told)
            self._outbox.put(each)
        self.wake.set()
        self.room.set()

    def _told(self, message_id: str, told: Told) -> None:
        """Count what S3 was told, and say what was given up."""
        self.metrics.tidied(told)
        log = get_logger().bind(action="tidy", message_id=message_id, key=told.key)
        if told.receipt:
            log.warning("receipt_left_out", error_code=told.receipt)
        if told.object:
            log.warning("left_in_s3", error_code=told.object)

    # Keeping

    def keep(self) -> None:
        """One round of housekeeping: tell SQS what is finished, extend what is held, give up what is overdue, submit what is due."""
        try:
            try:
                self._heartbeat()
                if self._check_broker():
                    self._check_workers()
                    self._look_for_lost()
                    self.submit_due()
            finally:
                self.flush()
        except SQS_ERRORS as error:
            self.outages.failed(Dependency.SETTLING, type(error).__name__)
            raise
        self.outages.worked(Dependency.SETTLING)

    def flush(self) -> None:
        """Tell SQS of what is held no longer: dead letters, deletes, messages that go back."""
        self._outbox.flush()

    def _heartbeat(self) -> None:
        if self._clock() < self._next_heartbeat:
            return
        self._expire(self.in_flight.drop_old())
        keys, receipts = self.in_flight.keys(), self.in_flight.receipts()
        # What is finished and could not be deleted yet, too: received again, it would have cost one of its few receives.
        gone = self._queue.extend(self._outbox.receipts() | receipts)
        for key in keys:
            failpoint(Point.POLLER_EXTENDED, key)
        self.in_flight.drop_receipts((message_id, receipts[message_id]) for message_id in gone & receipts.keys())
        for message_id in (gone & receipts.keys()) - self.in_flight.receipts().keys():
            self.metrics.let_go(message_id, Telling.FORGET)
        self._next_heartbeat = self._clock() + self._settings.visibility_timeout / HEARTBEATS_PER_TIMEOUT

    def _check_broker(self) -> bool:
        """Whether Redis answers. A missing epoch key means that it lost its memory: everything held is submitted again."""
        try:
            forgotten = self._broker.set(f"{settle_queue(self._settings.instance)}.epoch", "1", nx=True)
        except RedisError as error:
            self._refused = False
            self._broker_failed(error)
            return False
        if forgotten and self._epoch_known:
            get_logger().warning("broker_forgot", action="keep", resubmitted=self.in_flight.resubmit_all())
        self._epoch_known = True
        if not self._refused:
            self._worked(Dependency.BROKER)
        self.broker_up.set()
        return True

    def _broker_failed(self, error: Exception) -> None:
        self.broker_up.clear()
        self.outages.failed(Dependency.BROKER, type(error).__name__)

    def _check_workers(self) -> None:
        """Give up chains past their deadline. Does nobody answer, then every later one will be late too: receive no more until then."""
        away = self.outages.away(Dependency.WORKERS)
        if away and not self.outages.probe_due():
            return
        try:
            self._stalls.watch(self.in_flight.slow_chains())
            if not away and not self.in_flight.has_overdue():
                return
            answered = self._workers_answer()
        except (*BROKER_ERRORS, RedisError) as error:
            self._broker_failed(error)
            return
        if answered:
            # First: when they are just back, every deadline starts again.
            self._worked(Dependency.WORKERS)
            self._conclude(*self.in_flight.tidy_overdue())
            self._reject_overdue()
            self._resubmit_waiting()
            self._expire(self.in_flight.drop_overdue(Happening.SILENT))
        else:
            self.outages.failed(Dependency.WORKERS, "no decryptor or no loader answers")
            self._expire(self.in_flight.drop_overdue(Happening.WORKERS_AWAY))

    def _look_for_lost(self) -> None:
        """Submit again what no worker has in hand after Redis was away: nobody would miss before its deadline what was lost then."""
        before = self._lost_before
        if before is None or self._clock() < before + protocol.STEADY_S or self.outages.away(Dependency.BROKER, Dependency.WORKERS):
            return
        chains = self.in_flight.begun_before(before)
        try:
            in_hand = self._hands(chains) if chains else {}
        except (*BROKER_ERRORS, RedisError) as error:
            self._broker_failed(error)
            return
        if self._lost_before == before:
            # Else it was away and back once more meanwhile.
            self._lost_before = None
        if again := self.in_flight.resubmit_all(only=set(chains) - in_hand.keys()):
            get_logger().info("looked_for_lost", action="keep", in_hand=len(in_hand), resubmitted=again)

    def _reject_overdue(self) -> None:
        """Have files rejected that stalled every worker that got them."""
        for held in self.in_flight.reject_overdue(PROBLEM, self._stalls.is_hopeless):
            log = get_logger().bind(action="keep", message_id=held.message.message_id, files=[file.file_id for file in held.unsettled])
            log.error("stalled", error_code=PROBLEM.error_code, stalls=protocol.STALLS)

    def _resubmit_waiting(self) -> None:
        """Submit again what no worker had in hand: a long line, or a lost task, must not cost a receive."""
        for held in self.in_flight.resubmit_waiting(self._stalls.is_in_hand):
            log = get_logger().bind(action="keep", message_id=held.message.message_id, parcel=held.parcel_id)
            log.warning("waited_in_vain", waits=held.waits)

    def _expire(self, expired: Iterable[Finished]) -> None:
        for finished in expired:
            why = finished.happening.name.lower()
            get_logger().error("deadline_passed", action="keep", message_id=finished.message.message_id, reason=why)
            self._conclude(finished)

    # Ending

    def hand_back(self) -> None:
        """Release everything still held, so that another poller can have it at once."""
        held = self.in_flight.drop_all()
        for each in held:
            self.metrics.let_go(each.message.message_id, Telling.BACK_NOW)
        if held:
            get_logger().info("handed_back", action="stop", messages=len(held))
            self._queue.release({each.message.message_id: each.message.receipt_handle for each in held}, 0)
            for each in held:
                failpoint(Point.POLLER_HANDED_BACK, each.key)


def _file_ref(created: Created, message: Message) -> FileRef:
    return FileRef(
        bucket=created.bucket,
        key=created.key,
        version_id=created.version_id,
        etag=created.etag,
        size=created.size,
        sequencer=created.sequencer,
        event_time=created.event_time,
        received_at=dt.datetime.now(dt.UTC).isoformat(),
        message_id=message.message_id,
        attempt=message.receive_count,
    )


def _event_rejection(message: Message, reason: str) -> Settlement:
    return Settlement.model_validate(
        {
            "message_id": message.message_id,
            "file_id": "",
            "verdict": "rejected",
            "status": "rejected",
            "error_code": ErrorCode.EVENT_INVALID,
            "error": reason,
        }
    )
