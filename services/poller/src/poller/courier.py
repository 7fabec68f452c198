"""The poller's work: receive, hold, submit, keep alive, settle. Each method does one round; `__main__` runs them in threads."""

import datetime as dt
import threading
from collections import deque
from collections.abc import Callable

from redis import Redis
from redis.exceptions import RedisError

from poller.events import Created, Ignored, InvalidEventError, parse
from poller.in_flight import Finished, Held, InFlight
from poller.pipeline import BROKER_ERRORS, Pipeline, parcels
from poller.settings import PollerSettings
from poller.sqs import SQS_ERRORS, DeadLetter, IngestQueue, Message, is_final
from shared.contract import FileRef, SettledParcel, Settlement, Verdict, settle_queue
from shared.errors import ErrorCode
from shared.logging import get_logger

HEARTBEATS_PER_TIMEOUT = 3


class Courier:
    """Sees every message from receive to settle. Its threads share nothing but the registry and the settle list."""

    def __init__(self, settings: PollerSettings, queue: IngestQueue, pipeline: Pipeline, broker: Redis, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._queue = queue
        self._pipeline = pipeline
        self._broker = broker
        self._clock = clock
        self._finished: deque[Finished] = deque()
        self._released: deque[tuple[str, str]] = deque()
        # The keeper's own: what it has yet to tell SQS.
        self._deleting: dict[str, str] = {}
        self._releasing: dict[str, str] = {}
        self._next_heartbeat = 0.0
        self._epoch_known = False
        self.in_flight = InFlight(clock, settings.task_deadline, settings.max_in_flight_bytes)
        self.broker_up = threading.Event()
        self.wake = threading.Event()
        """Set when the keeper has something to do at once."""
        self.room = threading.Event()
        """Set when a slot may have become free."""

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return len(self.in_flight) >= self._settings.max_in_flight

    # Receiving

    def receive(self) -> int:
        """One long poll, bounded by the free slots. Returns how many messages arrived."""
        if self.is_full:
            return 0
        messages = self._queue.receive(self._settings.max_in_flight - len(self.in_flight), self._settings.receive_wait)
        for message in messages:
            self._accept(message)
        if messages:
            self.submit_due()
        return len(messages)

    def _accept(self, message: Message) -> None:
        log = get_logger().bind(action="receive", message_id=message.message_id, attempt=message.receive_count)
        try:
            found = parse(message.body, self._settings.bucket)
        except InvalidEventError as error:
            log.warning("event_invalid", error_code=ErrorCode.EVENT_INVALID, reason=str(error))
            self._finish(Finished(message, _event_rejection(message, str(error))))
            return
        if isinstance(found, Ignored):
            log.info("ignored", reason=found.reason)
            self._finish(Finished(message, None))
            return
        files = tuple(_file_ref(created, message) for created in found)
        if self.in_flight.hold(message, files):
            log.info("received", files=[file.file_id for file in files], keys=[file.key for file in files])

    # Submitting

    def submit_due(self) -> None:
        """Submit what is due; what Redis does not take stays held and is submitted later."""
        groups = parcels(self.in_flight.take_due(), self._settings.parcel_max_files, self._settings.parcel_max_bytes)
        for group in groups:
            if not self._submit(group):
                # Each would cost a socket timeout, and meanwhile no heartbeat leaves.
                self.in_flight.postpone(held.message.message_id for rest in groups for held in rest)

    def _submit(self, group: list[Held]) -> bool:
        log = get_logger().bind(action="submit", files=[file.file_id for held in group for file in held.unsettled])
        try:
            log.info("submitted", parcel=self._pipeline.submit(group))
        except BROKER_ERRORS as error:
            self.broker_up.clear()
            self.in_flight.postpone(held.message.message_id for held in group)
            log.warning("broker_away", reason=type(error).__name__)
            return False
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
            if settlement.verdict is Verdict.RETRY and settlement.error_code == ErrorCode.INTERNAL_ERROR:
                # No outage: SQS counts the attempt, so that a file which always fails like this ends in the dead-letter queue.
                self._release(self.in_flight.drop([settlement.message_id]))
            elif finished := self.in_flight.settle(settlement):
                self._finish(finished)

    def settle_failed(self, parcel_id: str) -> None:
        """A task failed in a way that nobody foresaw: give the messages back to SQS, which counts the attempt."""
        receipts = self.in_flight.drop_parcel(parcel_id)
        get_logger().error("chain_failed", action="settle", parcel=parcel_id, message_ids=list(receipts))
        self._release(receipts)

    def _release(self, receipts: dict[str, str]) -> None:
        self._released.extend(receipts.items())
        self.wake.set()
        self.room.set()

    def _finish(self, finished: Finished) -> None:
        self._finished.append(finished)
        self.wake.set()
        self.room.set()

    # Keeping

    def keep(self) -> None:
        """One round of housekeeping: tell SQS what is finished, extend what is held, give up what is overdue, submit what is due."""
        self._heartbeat()
        if self._check_broker():
            self.submit_due()
        self.flush()

    def flush(self) -> None:
        """Hand rejected messages to the dead-letter queue, then delete everything finished, in batches.

        Killed in between, a rejected message is redelivered and handed over once more: twice in the dead-letter queue rather
        than nowhere.
        """
        failure = self._hand_over()
        while self._released:
            message_id, handle = self._released.popleft()
            self._releasing[message_id] = handle
        for tell, receipts in ((self._queue.delete, self._deleting), (self._queue.release, self._releasing)):
            tell(receipts)
            receipts.clear()
        if failure:
            raise failure

    def _hand_over(self) -> Exception | None:
        """Dead letters first; one that SQS does not take waits, and holds nobody up. Returns the last failure."""
        failure: Exception | None = None
        for _ in range(len(self._finished)):
            finished = self._finished.popleft()
            try:
                if finished.rejection:
                    self._queue.dead_letter(_dead_letter(finished.message, finished.rejection))
            except SQS_ERRORS as error:
                if is_final(error):
                    # Too large with its attributes, say: SQS itself will move the message, after its last receive.
                    get_logger().error("dead_letter_refused", action="settle", message_id=finished.message.message_id)
                    self._releasing[finished.message.message_id] = finished.message.receipt_handle
                    continue
                failure = error
                self._finished.append(finished)
            else:
                self._deleting[finished.message.message_id] = finished.message.receipt_handle
        return failure

    def _heartbeat(self) -> None:
        if self._clock() < self._next_heartbeat:
            return
        for message_id in self.in_flight.drop_expired():
            get_logger().error("deadline_passed", action="heartbeat", message_id=message_id)
        receipts = self.in_flight.receipts()
        gone = self._queue.extend(receipts)
        self.in_flight.drop_receipts((message_id, receipts[message_id]) for message_id in gone)
        self._next_heartbeat = self._clock() + self._settings.visibility_timeout / HEARTBEATS_PER_TIMEOUT

    def _check_broker(self) -> bool:
        """Whether Redis answers. A missing epoch key means that it lost its memory: everything held is submitted again."""
        try:
            forgotten = self._broker.set(f"{settle_queue(self._settings.instance)}.epoch", "1", nx=True)
        except RedisError as error:
            if self.broker_up.is_set():
                get_logger().warning("broker_away", action="keep", reason=type(error).__name__)
            self.broker_up.clear()
            return False
        if forgotten and self._epoch_known:
            get_logger().warning("broker_forgot", action="keep", resubmitted=self.in_flight.resubmit_all())
        self._epoch_known = True
        self.broker_up.set()
        return True

    # Ending

    def hand_back(self) -> None:
        """Release everything still held, so that another poller can have it at once."""
        receipts = self.in_flight.drop_all()
        if receipts:
            get_logger().info("handed_back", action="stop", messages=len(receipts))
            self._queue.release(receipts)


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


def _dead_letter(message: Message, rejection: Settlement) -> DeadLetter:
    return DeadLetter(message.body, rejection.error_code or ErrorCode.INTERNAL_ERROR, rejection.error or "")


__all__ = ["SQS_ERRORS", "Courier"]
