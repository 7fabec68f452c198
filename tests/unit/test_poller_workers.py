"""Whether anybody works, asked of workers that obey a broadcast as Celery's do (kombu.pidbox, Node.handle_message)."""

from typing import Any, cast

import pytest
from celery import Celery
from kombu.matcher import match

from poller.workers import Workers


class FakeControl:
    """Answers for the workers of these names. Without a matcher, a pattern counts for nothing and everybody answers."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def broadcast(
        self, command: str, *, reply: bool, timeout: float, limit: int, pattern: str | None = None, matcher: str | None = None
    ) -> list[dict[str, dict[str, str]]]:
        assert command == "ping"
        assert reply
        assert 0 < timeout <= 2
        return [{name: {"ok": "pong"}} for name in self._names if not (pattern and matcher) or match(name, pattern, matcher)][:limit]


class FakeApp:
    """As much of an app as is asked."""

    def __init__(self, *names: str) -> None:
        self.control = FakeControl(*names)


@pytest.mark.parametrize(
    ("names", "answer"),
    [
        (("poller@p1", "decryptor@d1", "loader@l1"), True),
        (("loader@l2", "decryptor@d1", "decryptor@d2", "loader@l1"), True),
        (("poller@p1", "decryptor@d1"), False),
        (("poller@p1", "loader@l1"), False),
        (("poller@p1",), False),
        ((), False),
    ],
)
def test_the_line_needs_a_decryptor_and_a_loader(names: tuple[str, ...], answer: bool) -> None:
    assert Workers(cast("Celery", cast("Any", FakeApp(*names)))).answer() is answer
