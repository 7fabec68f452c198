"""Whether there is anybody who does the work."""

from celery import Celery

ROLES = ("decryptor", "loader")
"""The line needs at least one of each; a worker is called role@instance."""
PING_TIMEOUT_S = 2.0
"""A worker's main process answers within milliseconds, however busy its children are."""


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

    def _answers(self, role: str) -> bool:
        # With the matcher only those that are meant answer; without it the first answer may be anybody's.
        control, matcher = self._app.control, "glob"
        replies = control.broadcast("ping", reply=True, timeout=PING_TIMEOUT_S, limit=1, pattern=f"{role}@*", matcher=matcher)  # type: ignore[arg-type]  # a name will do
        return bool(replies)
