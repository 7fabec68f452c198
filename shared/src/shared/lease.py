"""Keeps a live worker's unacknowledged tasks its own, so that a dead worker's tasks can be handed on soon.

Redis hands an unacknowledged task out again once its entry in the `unacked` index is older than the transport's visibility
timeout, whether or not a worker still works on it. A timeout above the longest task would leave a killed worker's file
waiting for hours; a short one would run long tasks several times at once. So the timeout is short, and each worker renews
the entries of the tasks that it holds: the same idea as the visibility heartbeat towards SQS.
"""

import time
from typing import Any

from celery import bootsteps
from celery.worker import state
from redis.exceptions import RedisError

from shared.logging import get_logger

RENEWALS_PER_TIMEOUT = 4


class Lease(bootsteps.StartStopStep):
    """Consumer bootstep: renews the held tasks four times per visibility timeout, on the worker's own event loop."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        """Begin renewing once the consumer is connected."""
        timeout = parent.app.conf.broker_transport_options["visibility_timeout"]
        self._timer = parent.timer.call_repeatedly(timeout / RENEWALS_PER_TIMEOUT, renew, (parent,))

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - the base class's signature
        """End renewing when the consumer disconnects or stops."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def renew(consumer: Any) -> None:
    """Set the age of every task that this worker has reserved to now. XX: a task that was settled meanwhile is not revived."""
    channel = consumer.task_consumer.channel
    held = {str(request.message.delivery_tag): time.time() for request in tuple(state.reserved_requests)}
    if not held:
        return
    try:
        # A connection of its own: channel.client is the one that waits for BRPOP's answer, a task.
        with channel.conn_or_acquire() as client:
            client.zadd(channel.unacked_index_key, held, xx=True)
    except RedisError as error:
        # The consumer notices a lost connection by itself; a missed renewal only means that a task may run twice.
        get_logger().warning("lease_not_renewed", action="lease", tasks=len(held), reason=type(error).__name__)
