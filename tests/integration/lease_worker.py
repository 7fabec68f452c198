"""A worker with the line's own Celery configuration and two tasks that note in Redis who ran them; started by test_lease.

PYTEST_DONT_REWRITE: it is a program.
"""

import os
from pathlib import Path
from typing import Any

from celery import Celery
from redis import Redis

from shared import celery_app, lease
from shared.contract import QueueName
from shared.settings import WorkerSettings

NOTE = "test.note"
HOLD = "test.hold"
LONGEST_HOLD_S = 50


def settings(url: str, instance: str, visibility_timeout: int) -> WorkerSettings:
    """A worker's settings, unchecked: the shortest visibility timeout that they allow would make the tests wait."""
    return WorkerSettings.model_construct(
        **WorkerSettings(redis_url=url, instance=instance, concurrency=2, spool_dir=Path("unused"), datasets=Path("unused")).__dict__
        | {"broker_visibility_timeout": visibility_timeout}
    )


def build(made: WorkerSettings) -> Celery:
    """The app, its tasks registered."""
    app = celery_app.build(QueueName.DECRYPT, made)
    # No socket timeout: redis-py's own of 5 s would end the wait in `hold`.
    redis = Redis.from_url(made.redis_url.get_secret_value(), socket_timeout=None)

    @app.task(name=NOTE, bind=True)
    def note(task: Any, number: str) -> None:
        redis.rpush(f"ran:{number}", task.request.hostname)

    @app.task(name=HOLD, bind=True)
    def hold(task: Any, number: str) -> None:
        redis.rpush(f"ran:{number}", task.request.hostname)
        redis.blpop([f"release:{number}"], timeout=LONGEST_HOLD_S)
        redis.rpush(f"ended:{number}", task.request.hostname)

    return app


def main() -> None:
    """Run it until it is killed."""
    lease.RENEWALS_PER_TIMEOUT = int(os.environ["TEST_RENEWALS_PER_TIMEOUT"])
    made = settings(os.environ["TEST_REDIS_URL"], os.environ["TEST_INSTANCE"], int(os.environ["TEST_VISIBILITY_TIMEOUT"]))
    celery_app.run_worker(build(made), "worker", made)


if __name__ == "__main__":
    main()
