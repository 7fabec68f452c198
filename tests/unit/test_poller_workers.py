"""Whether anybody works, asked of workers that obey a broadcast as Celery's do (kombu.pidbox, Node.handle_message)."""

from typing import Any, cast

import pytest
from celery import Celery
from kombu.matcher import match

from poller.pipeline import task_id
from poller.workers import Workers
from shared.contract import TaskName


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


class AskedControl:
    """Answers `query_task` as Celery's workers do: each tells of the tasks that it knows (celery.worker.control)."""

    def __init__(self, replies: list[dict[str, Any]] | None) -> None:
        self._replies = replies
        self.ids: list[str] = []

    def broadcast(self, command: str, *, arguments: dict[str, Any], reply: bool, timeout: float) -> list[dict[str, Any]] | None:
        assert command == "query_task"
        assert reply
        assert 0 < timeout <= 2
        self.ids = arguments["ids"]
        return self._replies


def hands(replies: list[dict[str, Any]] | None, *parcel_ids: str) -> dict[str, str]:
    app = FakeApp()
    app.control = cast("Any", AskedControl(replies))
    return Workers(cast("Celery", cast("Any", app))).hands(parcel_ids)


DECRYPT, LOAD = task_id("p1", TaskName.DECRYPT), task_id("p1", TaskName.LOAD)


@pytest.mark.parametrize("task", [DECRYPT, LOAD])
def test_a_run_is_named_by_its_worker_its_task_and_its_beginning(task: str) -> None:
    def run(worker: str, began: float) -> dict[str, str]:
        return hands([{"poller@p1": {}}, {worker: {task: ["active", {"time_start": began}]}}], "p0", "p1")

    names = [run("a@1", 7.0), run("a@1", 8.0), run("a@2", 7.0)]
    assert [list(each) for each in names] == [["p1"]] * 3
    assert len({each["p1"] for each in names}) == 3
    assert run("a@1", 7.0) == names[0]


@pytest.mark.parametrize(
    "replies",
    [
        None,
        [],
        [{"decryptor@d1": {}}],
        [{"decryptor@d1": {DECRYPT: ["reserved", {"time_start": None}]}}],
        [{"decryptor@d1": {"another": ["active", {"time_start": 1.0}]}}],
        [{"decryptor@d1": {"error": "KeyError('ids')"}}],
    ],
)
def test_what_nobody_has_begun_is_in_nobodys_hands(replies: list[dict[str, Any]] | None) -> None:
    assert hands(replies, "p1") == {}
