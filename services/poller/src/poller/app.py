"""Wires the poller: one function builds everything from the settings."""

import time
from dataclasses import dataclass
from typing import Any

from celery import Celery

from poller import sqs
from poller.courier import Courier
from poller.pipeline import Pipeline
from poller.settings import PollerSettings
from poller.workers import Workers
from shared import broker, celery_app
from shared.contract import QueueName, SettledParcel, TaskName, settle_queue


@dataclass(frozen=True, slots=True)
class Poller:
    """The Celery app that consumes this instance's settle queue, and the courier that it reports to."""

    app: Celery
    courier: Courier


def bootstrap(settings: PollerSettings) -> Poller:
    """Build the poller; nothing connects yet."""
    app = celery_app.build(QueueName.SETTLE, settings, queue=settle_queue(settings.instance))
    receiver = sqs.connect(settings, wait=settings.receive_wait)
    queue = sqs.IngestQueue(sqs.connect(settings), settings.queue_url, settings.dlq_url, settings.visibility_timeout, receiver)
    pipeline, workers = Pipeline(app, settings.instance, settings.task_deadline), Workers(app)
    courier = Courier(
        settings, queue, pipeline, broker.client(settings), time.monotonic, workers_answer=workers.answer, hands=workers.hands
    )
    _register(app, courier)
    return Poller(app, courier)


def _register(app: Celery, courier: Courier) -> None:
    @app.task(name=TaskName.SETTLE)
    def settle(parcel: dict[str, Any]) -> None:
        courier.settle(SettledParcel.read(parcel))

    @app.task(name=TaskName.SETTLE_FAILED)
    def settle_failed(parcel_id: str) -> None:
        courier.settle_failed(parcel_id)
