"""A worker of one role with the line's own Celery configuration, whose task hands on what such a task returns.

Started by test_shared_flower and test_tls. PYTEST_DONT_REWRITE: it is a program.
"""

import os
import sys
from pathlib import Path
from typing import Any

from celery import Celery

from shared import celery_app, logging
from shared.contract import Decrypted, DecryptedParcel, Parcel, QueueName, SettledParcel, Settlement, TaskName, Verdict, settle_queue
from shared.settings import WorkerSettings, load

INSTANCE = "p1"
TASKS = {QueueName.DECRYPT: TaskName.DECRYPT, QueueName.LOAD: TaskName.LOAD, QueueName.SETTLE: TaskName.SETTLE}


def build(role: QueueName, settings: WorkerSettings) -> Celery:
    """The role's app, its one task registered. `settle` notes the parcel in the spool's folder."""
    app = celery_app.build(role, settings, queue=settle_queue(INSTANCE) if role is QueueName.SETTLE else None)

    @app.task(name=TASKS[role])
    def work(data: dict[str, Any]) -> dict[str, Any] | None:
        return {QueueName.DECRYPT: _decrypt, QueueName.LOAD: _load, QueueName.SETTLE: _settle}[role](data, settings.spool_dir)

    return app


def _decrypt(data: dict[str, Any], _: Path) -> dict[str, Any]:
    parcel = Parcel.read(data)
    return DecryptedParcel(parcel_id=parcel.parcel_id, items=tuple(Decrypted(file=file) for file in parcel.files)).dump()


def _load(data: dict[str, Any], _: Path) -> dict[str, Any]:
    parcel = DecryptedParcel.read(data)
    wrong = {"verdict": Verdict.REJECTED, "status": "rejected", "error_code": "csv_malformed", "error": "it's so"}
    right = {"verdict": Verdict.DONE, "status": "loaded"}
    settlements = [
        Settlement.model_validate({"message_id": item.file.message_id, "file_id": item.file.file_id} | (wrong if number else right))
        for number, item in enumerate(parcel.items)
    ]
    return SettledParcel(parcel_id=parcel.parcel_id, settlements=tuple(settlements)).dump()


def _settle(data: dict[str, Any], spool: Path) -> None:
    (spool / SettledParcel.read(data).parcel_id).touch()


def main() -> None:
    """Run it until it is killed."""
    role = QueueName(sys.argv[1])
    settings = load(WorkerSettings)
    logging.configure(role, settings.instance, settings.log_format, settings.log_level)
    os.chdir(settings.spool_dir)
    celery_app.run_worker(build(role, settings), role, settings)


if __name__ == "__main__":
    main()
