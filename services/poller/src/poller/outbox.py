"""What SQS is still to be told of messages that are held no longer."""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from poller.held import Finished
from poller.sqs import SQS_ERRORS, DeadLetter, IngestQueue, Message, is_final
from shared import protocol
from shared.contract import Settlement
from shared.errors import ErrorCode
from shared.failpoint import Point, failpoint
from shared.logging import get_logger
from shared.protocol import DECISIONS, Happening, Telling


class Outbox:
    """Any thread puts in, one takes out. What SQS does not take stays for the next time.

    Args:
        queue: where to.
        visibility_timeout: of the queue, seconds.
    """

    def __init__(self, queue: IngestQueue, visibility_timeout: int) -> None:
        self._queue = queue
        self._visibility_timeout = visibility_timeout
        self._finished: deque[Finished] = deque()
        self._letters: deque[Finished] = deque()
        self._deleting: dict[str, Finished] = {}
        self._releasing: dict[int, dict[str, Finished]] = {}
        """By the seconds for which they stay invisible."""

    def put(self, finished: Finished) -> None:
        """Note a message that is held no longer."""
        self._finished.append(finished)

    def receipts(self) -> dict[str, str]:
        """Receipt handles by id of what waits to be deleted, for the heartbeat: SQS must not hand it out again meanwhile."""
        return _receipts(self._letters) | _receipts(self._deleting.values())

    def flush(self) -> None:
        """Hand rejected messages to the dead-letter queue, then delete everything finished, and hand back the rest, in batches.

        Killed in between, a rejected message is redelivered and handed over once more: twice in the dead-letter queue rather
        than nowhere.

        Raises:
            SQS_ERRORS: what is left is told by the next call.
        """
        while self._finished:
            self._sort(self._finished.popleft())
        failure = self._send_letters()
        self._queue.delete(_receipts(self._deleting.values()))
        for deleted in self._deleting.values():
            failpoint(Point.POLLER_DELETED, deleted.key)
        self._deleting.clear()
        for pause in list(self._releasing):
            self._queue.release(_receipts(self._releasing[pause].values()), pause)
            for released in self._releasing.pop(pause).values():
                failpoint(Point.POLLER_HANDED_BACK, released.key)
        if failure:
            raise failure

    def _sort(self, finished: Finished) -> None:
        match DECISIONS[finished.happening].telling:
            case Telling.DEAD_LETTER:
                self._letters.append(finished)
            case Telling.DELETE:
                self._delete(finished)
            case Telling.BACK:
                self._release(finished, protocol.back_pause(finished.message.receive_count, self._visibility_timeout))
            case Telling.BACK_NOW:
                self._release(finished, 0)
            case Telling.KEEP | Telling.FORGET:
                pass

    def _delete(self, finished: Finished) -> None:
        self._deleting[finished.message.message_id] = finished

    def _release(self, finished: Finished, pause: int) -> None:
        self._releasing.setdefault(pause, {})[finished.message.message_id] = finished

    def _send_letters(self) -> Exception | None:
        """Dead letters first; one that SQS does not take waits, and holds nobody up. Returns the last failure."""
        failure: Exception | None = None
        for _ in range(len(self._letters)):
            finished = self._letters.popleft()
            try:
                self._queue.dead_letter(_dead_letter(finished.message, finished.rejection))
            except SQS_ERRORS as error:
                if is_final(error):
                    # Too large with its attributes, say: SQS itself will move the message, after its last receive.
                    get_logger().error("dead_letter_refused", action="settle", message_id=finished.message.message_id)
                    self._sort(replace(finished, happening=Happening.LETTER_REFUSED))
                    continue
                failure = error
                self._letters.append(finished)
            else:
                failpoint(Point.POLLER_LETTER_SENT, finished.key)
                self._delete(finished)
        return failure


def _receipts(finished: Iterable[Finished]) -> dict[str, str]:
    return {each.message.message_id: each.message.receipt_handle for each in finished}


def _dead_letter(message: Message, rejection: Settlement | None) -> DeadLetter:
    code = rejection and rejection.error_code
    return DeadLetter(message.body, code or ErrorCode.INTERNAL_ERROR, (rejection and rejection.error) or "")
