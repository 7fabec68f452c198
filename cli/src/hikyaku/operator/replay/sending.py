"""Sending to the ingest queue, ten messages a call; what SQS refuses for the moment is tried again."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hikyaku.errors import UserError
from hikyaku.operator import access
from hikyaku.operator.replay.event import body
from hikyaku.operator.replay.order import Step

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

TRIES = 4


def send(
    sqs: "SQSClient", queue_url: str, bucket: str, steps: Iterable[Step], *, pause: Callable[[float], None] = time.sleep
) -> Iterator[Step]:
    """Send an event for each step, and give each that SQS has taken.

    Cut short, it may simply be done again: an event that comes twice is settled by the ledger.

    Raises:
        UserError: SQS takes some of them not even after several tries, or can't be reached.
    """
    # Ten events are far below the 1 MiB of a call: a key has 1,024 bytes at the most.
    for batch in access.batches(steps):
        with access.told("the ingest queue takes no messages"):
            _send(sqs, queue_url, {str(number): body(bucket, step) for number, step in enumerate(batch)}, pause)
        yield from batch


def _send(sqs: "SQSClient", queue_url: str, bodies: dict[str, str], pause: Callable[[float], None]) -> None:
    for tried in range(TRIES):
        entries: Any = [{"Id": number, "MessageBody": text} for number, text in bodies.items()]
        failed = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries).get("Failed", [])
        bodies = {each["Id"]: bodies[each["Id"]] for each in failed}
        if not bodies:
            return
        if tried < TRIES - 1:
            pause(2.0**tried)
    raise UserError(f"SQS refuses {len(bodies)} messages: {failed[0].get('Code')}", hint="Run the same again: what was sent is harmless.")
