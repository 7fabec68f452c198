"""Wires the loader: nothing happens at import, `build_app` is the one place that knows all parts."""

from importlib.metadata import version
from typing import Any

from celery import Celery

from loader import tasks
from loader.database import Database
from loader.loading import Loader
from loader.settings import LoaderSettings
from shared import celery_app
from shared.contract import QueueName, TaskName
from shared.datasets import DatasetsError
from shared.datasets_file import DatasetsFile
from shared.settings import fail


def build_app(settings: LoaderSettings) -> Celery:
    """The loader's Celery app. A datasets.toml that is wrong at start ends the process with 2."""
    app = celery_app.build(QueueName.LOAD, settings, time_limit=settings.task_time_limit)
    loader = build_loader(settings)

    @app.task(name=TaskName.LOAD, max_retries=celery_app.CHILD_LOSSES, default_retry_delay=celery_app.RETRY_DELAY_S)
    def load(parcel: dict[str, Any]) -> dict[str, Any]:
        return tasks.load(loader, parcel)

    return app


def build_loader(settings: LoaderSettings) -> Loader:
    """The loader without Celery. It connects with its first file, so that forked workers have connections of their own."""
    try:
        datasets = DatasetsFile(settings.datasets)
    except DatasetsError as error:
        fail([f"HIKYAKU_DATASETS: {error}"])
    database = Database(settings.database_url.get_secret_value(), settings.lock_timeout, settings.statement_timeout)
    return Loader(database, datasets, settings.spool_dir, f"{settings.instance} {version('hikyaku-loader')}")
