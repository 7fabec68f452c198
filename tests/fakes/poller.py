"""A poller whose neighbours are all fakes."""

from collections.abc import Callable
from typing import Any, cast

from redis import Redis

from fakes.line import BUCKET, FakeBroker, FakePipeline
from fakes.sqs import FakeSQS
from poller.courier import Courier
from poller.pipeline import Pipeline
from poller.settings import PollerSettings
from poller.sqs import IngestQueue

QUEUE = "https://sqs.invalid/ingest"
DLQ = "https://sqs.invalid/dlq"
MAX_RECEIVE_COUNT = 5


def settings(**changes: Any) -> PollerSettings:
    """What a poller reads."""
    given = {"redis_url": "redis://unused.invalid", "instance": "p1", "queue_url": QUEUE, "dlq_url": DLQ, "bucket": BUCKET}
    return PollerSettings.model_validate(given | changes)


def queues(clock: Callable[[], float]) -> FakeSQS:
    """SQS with the ingest queue and its dead-letter queue."""
    sqs = FakeSQS(clock)
    sqs.add_queue(DLQ)
    sqs.add_queue(QUEUE, dlq_url=DLQ, max_receive_count=MAX_RECEIVE_COUNT)
    return sqs


def courier(
    given: PollerSettings, sqs: FakeSQS, pipeline: FakePipeline, broker: FakeBroker, clock: Callable[[], float], **more: Any
) -> Courier:
    """A courier that has just started: it remembers nothing."""
    queue = IngestQueue(cast("Any", sqs), QUEUE, DLQ, given.visibility_timeout)
    return Courier(given, queue, cast("Pipeline", pipeline), cast("Redis", broker), clock, **more)
