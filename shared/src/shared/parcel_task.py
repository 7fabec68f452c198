"""The one way in which a worker offers its task: what a lost process, a stall and a lack of memory mean is the same for all."""

from collections.abc import Callable
from typing import Any

from celery import Celery

from shared import celery_app, deadline, losses
from shared.contract import TaskName
from shared.settings import WorkerSettings

Work = Callable[[dict[str, Any], int], dict[str, Any]]
"""A dumped parcel, and how many worker processes it has cost so far; gives the next link's argument."""


def add(app: Celery, name: TaskName, work: Work, files_of: deadline.FilesOf, settings: WorkerSettings, *, slack: float = 1.0) -> None:
    """Add a task to a worker's app.

    Args:
        app: the worker's.
        name: the task's.
        work: what it does.
        files_of: reads the files of its argument.
        settings: for the limits.
        slack: times what the poller waits for a chain, see `deadline.limited`.
    """

    @app.task(
        bind=True,
        shared=False,
        name=name,
        max_retries=losses.MOST_RETRIES,
        default_retry_delay=celery_app.RETRY_DELAY_S,
        Request=deadline.limited(files_of, settings.task_deadline, settings.task_time_limit, slack=slack),
    )
    def run(task: Any, parcel: dict[str, Any]) -> dict[str, Any]:
        with losses.deadly_memory_error():
            return work(parcel, task.request.retries)
