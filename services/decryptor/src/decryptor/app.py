"""Wires the decryptor: one function builds everything from the settings."""

import os
from functools import cache, partial
from typing import Any

from celery import Celery

from decryptor import download
from decryptor.keyring import Keyring
from decryptor.settings import DecryptorSettings
from decryptor.sweeper import sweeper
from decryptor.tasks import Bench, decrypt_parcel
from shared import celery_app, parcel_task
from shared.contract import FileRef, Parcel, QueueName, TaskName
from shared.settings import fail


def build_app(settings: DecryptorSettings) -> Celery:
    """The worker's Celery app; nothing connects yet. Exits with 2 when the keyring or the spool can't be used."""
    keyring = Keyring(settings.identities_dir)
    keyring.refresh()
    if problems := [*keyring.problems, *_spool_problems(settings)]:
        fail(problems)
    bench = Bench(
        s3=cache(partial(download.connect, settings)),
        keyring=keyring,
        spool_dir=settings.spool_dir,
        timeout=settings.decrypt_timeout,
    )
    app = celery_app.build(QueueName.DECRYPT, settings, time_limit=settings.task_time_limit)
    app.steps["consumer"].add(sweeper(settings))
    parcel_task.add(app, TaskName.DECRYPT, partial(decrypt_parcel, bench), _files, settings)
    return app


def _spool_problems(settings: DecryptorSettings) -> list[str]:
    if not settings.spool_dir.is_dir():
        return [f"{settings.spool_dir}: the spool is not a directory"]
    if not os.access(settings.spool_dir, os.R_OK | os.W_OK | os.X_OK):
        return [f"{settings.spool_dir}: the spool is not writable"]
    return []


def _files(parcel: dict[str, Any]) -> tuple[FileRef, ...]:
    return Parcel.read(parcel).files
