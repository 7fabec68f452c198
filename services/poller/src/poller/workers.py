"""Whether there is anybody who does the work."""

from collections.abc import Sequence

from celery import Celery

from poller.pipeline import task_id
from shared.contract import TaskName

ROLES = ("decryptor", "loader")
"""The line needs at least one of each; a worker is called role@instance."""
ACTIVE = "active"
"""What Celery calls a task that a child process has begun."""
PING_TIMEOUT_S = 2.0
"""A worker's main process answers within milliseconds, however busy its children are."""

LOOK_TIMEOUT_S = 1.0
"""All of it is waited: nobody knows how many will answer."""


class Workers:
    """Asks the workers over Celery's remote control, of which they obey questions only (`shared.celery_app`)."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def answer(self) -> bool:
        """Whether a decryptor and a loader answer; waits 2 s at most for each.

        Raises:
            BROKER_ERRORS: Redis is away, so that nothing is known of them.
        """
        return all(self._answers(role) for role in ROLES)

    def hands(self, parcel_ids: Sequence[str]) -> dict[str, str]:
        """Which of these parcels a worker is busy with, not one that waits in line; waits 1 s.

        Returns:
            By parcel id, a name of the very run: a worker and when it began.

        Raises:
            BROKER_ERRORS: Redis is away, so that nothing is known.
        """
        parcels = {task_id(parcel_id, task): parcel_id for parcel_id in parcel_ids for task in (TaskName.DECRYPT, TaskName.LOAD)}
        replies = self._app.control.broadcast("query_task", arguments={"ids": list(parcels)}, reply=True, timeout=LOOK_TIMEOUT_S)
        runs: dict[str, str] = {}
        for worker, tasks in (answer for reply in replies or () for answer in reply.items()):
            for found, entry in tasks.items():
                # Anything else is an error in words.
                if found in parcels and entry[0] == ACTIVE:
                    runs[parcels[found]] = f"{worker} {found} {entry[1]['time_start']}"
        return runs

    def _answers(self, role: str) -> bool:
        # With the matcher only those that are meant answer; without it the first answer may be anybody's.
        control, matcher = self._app.control, "glob"
        replies = control.broadcast("ping", reply=True, timeout=PING_TIMEOUT_S, limit=1, pattern=f"{role}@*", matcher=matcher)  # type: ignore[arg-type]  # a name will do
        return bool(replies)
