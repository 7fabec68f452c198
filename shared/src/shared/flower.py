"""Flower, the courier's window: which file is where. Read only, with a login, on loopback unless told otherwise."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import available_timezones

from flower.options import options
from pydantic import AfterValidator, Field, SecretStr

from shared import celery_app, logging
from shared.confine import confine
from shared.contract import QueueName
from shared.settings import CommonSettings, load

MAX_TASKS = 10_000
"""Three a parcel. The oldest ones go; the ledger (hikyaku.file_history) keeps everything."""
MAX_WORKERS = 200
PURGE_AFTER_S = 24 * 3600
"""What died in the night is still there in the morning, as offline."""
SAVE_EVERY_MS = 30_000
"""What a SIGKILL may cost. SIGTERM saves."""
COLUMNS = "received,name,state,args,result,uuid,runtime,worker"
"""What a person looks for first, and the link to the task (uuid) within a narrow window."""


def _login(login: SecretStr) -> SecretStr:
    if not all(login.get_secret_value().partition(":")):
        raise ValueError("is not user:password")
    return login


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("is no time zone: write it as Asia/Tokyo")
    return name


def _writable(state: Path) -> Path:
    if not os.access(state.parent, os.W_OK | os.X_OK):
        raise ValueError(f"{state.parent} is not a folder that this user (id {os.geteuid()}) may write to")
    return state


class FlowerSettings(CommonSettings):
    """Settings of the dashboard."""

    flower_address: str = "127.0.0.1"
    flower_port: int = Field(default=5555, ge=1, le=65535)
    flower_auth: Annotated[SecretStr, AfterValidator(_login)]
    """`user:password` of the one login."""
    flower_state: Annotated[Path, AfterValidator(_writable)] | None = None
    """File in which tasks and workers outlive a restart. It is a pickle: nobody else may be able to write to it."""
    flower_timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    """In which times are shown. Logs and the ledger have UTC."""


def main() -> None:
    """Run Flower in this process."""
    confine()
    settings = load(FlowerSettings)
    logging.configure("flower", settings.instance, settings.log_format, settings.log_level)
    # It consumes nothing. The queue is the one whose length is shown while no worker has told of others.
    app = celery_app.build(celery_app.FLOWER, settings, queue=str(QueueName.DECRYPT))
    app.conf.update(timezone=settings.flower_timezone)
    # Flower asks the current app for the time zone.
    app.set_current()
    options.format_task = with_outcome
    app.start(["flower", *_arguments(settings)])


def _arguments(settings: FlowerSettings) -> Iterator[str]:
    yield f"--address={settings.flower_address}"
    yield f"--port={settings.flower_port}"
    yield f"--basic-auth={settings.flower_auth.get_secret_value()}"
    yield "--read_only=True"
    yield f"--max_tasks={MAX_TASKS}"
    yield f"--max_workers={MAX_WORKERS}"
    yield f"--purge_offline_workers={PURGE_AFTER_S}"
    yield f"--tasks_columns={COLUMNS}"
    yield "--logging=warning"
    if settings.flower_state is not None:
        # A state that can't be read is moved aside by Flower, with an error in the log.
        yield "--persistent=True"
        yield f"--db={settings.flower_state}"
        yield f"--state_save_interval={SAVE_EVERY_MS}"


def with_outcome(task: Any) -> Any:
    """Flower's task with what became of its files in front of the result: a rejected file's task is a success for Celery."""
    said = outcome(str(task.result)) if task.result else ""
    if said:
        task.result = f"{said} · {task.result}"
    return task


def outcome(result: str) -> str:
    """Sum up what a task returned, as far as Celery's shortened repr of it tells: `2 loaded, 1 rejected (csv_malformed)`."""
    statuses = re.findall(r"'status': '(\w+)'(?:, 'error_code': '(\w+)')?", result)
    problems = re.findall(r"'problem': (None|\{)", result)
    named = [f"{status} ({code})" if code else status for status, code in statuses]
    named += ["decrypted" if problem == "None" else "not decrypted" for problem in problems]
    counted = Counter(named).items()
    return ", ".join(name if len(named) == 1 else f"{count} {name}" for name, count in counted)


if __name__ == "__main__":
    main()
