"""Wires the loader: nothing happens at import, `build_app` is the one place that knows all parts."""

from functools import partial
from importlib.metadata import version
from typing import Any

from celery import Celery

from loader import tasks
from loader.database import Database
from loader.loading import Loader
from loader.settings import LoaderSettings
from shared import celery_app, parcel_task, spool_place
from shared.contract import DecryptedParcel, FileRef, QueueName, TaskName
from shared.datasets import DatasetsError
from shared.datasets_file import DatasetsFile
from shared.settings import fail

SLACK = 4
"""A merge may be slow, and one that comes too late for its chain still counts: the message that comes round finds the file loaded."""


def build_app(settings: LoaderSettings) -> Celery:
    """The loader's Celery app. A datasets.toml or a spool that is wrong at start ends the process with 2."""
    app = celery_app.build(QueueName.LOAD, settings, time_limit=settings.task_time_limit)
    parcel_task.add(app, TaskName.LOAD, partial(tasks.load, build_loader(settings)), _files, settings, slack=SLACK)
    return app


def _files(parcel: dict[str, Any]) -> tuple[FileRef, ...]:
    return tuple(item.file for item in DecryptedParcel.read(parcel).items)


def build_loader(settings: LoaderSettings) -> Loader:
    """The loader without Celery. It connects with its first file, so that forked workers have connections of their own."""
    problems = spool_place.problems(settings)
    try:
        datasets = DatasetsFile(settings.datasets)
    except DatasetsError as error:
        fail([*problems, f"HIKYAKU_DATASETS: {error}"])
    if problems:
        fail(problems)
    spool_place.warn_of_swap(settings)
    database = Database(
        settings.database_url.get_secret_value(),
        settings.lock_timeout,
        settings.statement_timeout,
        idle_timeout=settings.idle_in_transaction_timeout,
        connect_timeout=settings.database_connect_timeout,
        tcp_timeout=settings.database_tcp_timeout,
    )
    name = f"{settings.instance} {version('hikyaku-loader')}"
    return Loader(database, datasets, settings.spool_dir, name, look_every=settings.database_check_interval)
