"""The one Celery configuration. Delivery is at least once on purpose: the ledger makes repeats harmless."""

from collections.abc import Sequence
from typing import Any

from celery import Celery, signals
from celery.worker import WorkController
from celery.worker.control import Panel
from kombu import Queue

from shared import broker, health
from shared.contract import QueueName
from shared.lease import Lease
from shared.settings import CommonSettings, WorkerSettings

SOFT_SHUTDOWN_S = 30

CHILD_LOSSES = 2
"""How often a parcel is tried again after it took its worker process down with it, see `shared.losses`."""
RETRY_DELAY_S = 1
"""Celery's own default of 180 s would keep the file longer than SQS does."""

FLOWER = "flower"
"""The role that looks on: it has `unacked` keys of its own as every role has, and consumes no queue."""
REMOTE_COMMANDS = frozenset(
    {
        *("ping", "stats", "active_queues", "registered", "scheduled", "active", "reserved", "revoked", "conf", "query_task"),
        # Flower asks for these two when it starts.
        *("enable_events", "heartbeat"),
    }
)
"""What a worker may be asked over Redis: to tell of itself. Whoever may ask that may publish any command, so the rest
(shutdown, revoke, add_consumer, time_limit, …) is not there at all. Services are stopped by signals."""


def build(
    role: str, settings: CommonSettings, *, queue: str | None = None, more: Sequence[str] = (), time_limit: int | None = None
) -> Celery:
    """A Celery app for one role.

    Args:
        role: a `QueueName` or `FLOWER`: whose `unacked` keys it uses. Each role has its own, so that a Redis ACL can part them.
        settings: for the broker's address and the instance's name.
        queue: what a worker of this app consumes, the role's own queue unless told.
        more: queues that it consumes besides, by turns.
        time_limit: hard limit of a task in seconds.
    """
    app = Celery(f"hikyaku.{role}", amqp=broker.SteadyAMQP, set_as_current=False)
    app.conf.update(
        broker_url=settings.redis_url.get_secret_value(),
        broker_use_ssl=broker.tls(settings) or None,
        broker_transport_options=_transport(role, settings),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_queues=[Queue(queue or str(role)), *map(Queue, more)],
        task_default_queue=queue or str(role),
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_retry_on_worker_lost=True,
        task_acks_on_failure=True,
        task_acks_on_timeout=True,
        task_time_limit=time_limit,
        worker_prefetch_multiplier=1,
        worker_send_task_events=True,
        task_send_sent_event=True,
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=SOFT_SHUTDOWN_S,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        enable_utc=True,
    )
    app.steps["consumer"].add(Lease)
    for command in Panel.data.keys() - REMOTE_COMMANDS:
        del Panel.data[command]
    if role != QueueName.SETTLE:
        # The poller's health is that of its own threads, see `poller.threads`.
        _touch_health(settings)
    return app


def _transport(role: str, settings: CommonSettings) -> dict[str, Any]:
    return {
        "visibility_timeout": settings.broker_visibility_timeout,
        "unacked_key": f"unacked.{role}",
        "unacked_index_key": f"unacked.{role}.index",
        "unacked_mutex_key": f"unacked.{role}.mutex",
        # Sweep for a dead worker's tasks every 10 s.
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "socket_connect_timeout": settings.redis_connect_timeout,
        # Without it, a publish to a Redis that stopped answering hangs for ever.
        "socket_timeout": settings.redis_silence,
        "socket_keepalive": True,
        "health_check_interval": 25,
    }


def _touch_health(settings: CommonSettings) -> None:
    def beat(**_: Any) -> None:
        health.touch(settings.health_file)

    signals.heartbeat_sent.connect(beat, weak=False)


def run_worker(app: Celery, name: str, settings: WorkerSettings) -> int:
    """Run a prefork worker in this very process until it is told to stop.

    On SIGTERM (see `shared.__init__`) running tasks get `SOFT_SHUTDOWN_S` to finish, what remains goes back to Redis at once.

    Returns:
        0 after a stop that was asked for. 1 after an "Unrecoverable error" of Celery's, as when its processes could not be started:
        it logs it, and returns as if all were well.
    """
    started: list[WorkController] = []

    def note(sender: WorkController, **_: Any) -> None:
        started.append(sender)

    signals.worker_init.connect(note, weak=False)
    app.worker_main(
        [
            "--quiet",
            "worker",
            f"--hostname={name}@{settings.instance}",
            f"--loglevel={settings.log_level}",
            f"--concurrency={settings.concurrency}",
            "--pool=prefork",
            "--without-gossip",
            "--without-mingle",
        ]
    )
    # Celery's own exit code gets lost on the way. None: it was told to stop.
    return (started[-1].exitcode or 0) if started else 1
