"""Redis with Celery's queues in memory: as lossy as the real ones, and as repetitive.

What is known of them (measured, and read in kombu 5.7 and Celery 5.7): a task that was taken and not acknowledged is handed out
again once its lease is over; taking one loses it if Redis or the taker dies in just that moment; a restart without its file
forgets all. The canvas below takes what `poller.pipeline` says to Celery, so that the product's own submission runs.
"""

import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Self

from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

LEASE_S = 60.0


@dataclass(frozen=True, slots=True)
class Task:
    """A message of Celery's: what to run, with what, what comes after it, and whom to tell of a failure."""

    name: str
    queue: str
    args: tuple[Any, ...]
    links: tuple["Task", ...] = ()
    errback: "Task | None" = None
    retries: int = 0
    expires: float = math.inf
    """When a worker that gets it passes it over."""

    def followed_by(self, result: Any) -> "Task | None":
        """The next of the chain, with this one's result before its own arguments."""
        if not self.links:
            return None
        following, *rest = self.links
        return replace(following, args=(result, *following.args), links=tuple(rest))


@dataclass(slots=True)
class Lease:
    """A task that somebody has."""

    task: Task
    until: float


class FakeRedis:
    """One Redis.

    Attributes:
        memory: plain keys.
        lists: tasks that wait, by queue; the first comes out first.
        unacked: tasks that were taken, by delivery tag.
        away: refuses everything.
        step: called with the name of what is done, before it and, with "ed", after it: a place to fail.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tags = count(1)
        self.memory: dict[str, str] = {}
        self.lists: dict[str, deque[Task]] = defaultdict(deque)
        self.unacked: dict[int, Lease] = {}
        self.away = False
        self.step: Callable[[str], None] = lambda _: None

    def set(self, name: str, value: str, *, nx: bool) -> bool | None:
        """True when the key was new, None when it was there, as redis-py answers."""
        self.step("set")
        if self.away:
            raise RedisConnectionError("connection refused")
        if nx and name in self.memory:
            return None
        self.memory[name] = value
        return True

    def publish(self, task: Task) -> None:
        """Put a task at the end of its queue.

        Raises:
            OperationalError: Redis is away.
        """
        self.step("publish")
        if self.away:
            raise OperationalError("connection refused")
        self.lists[task.queue].append(task)
        self.step("published")

    def waiting(self, queue: str) -> bool:
        """Whether there is a task to take."""
        self.restore()
        return not self.away and bool(self.lists[queue])

    def take(self, queue: str) -> tuple[int, Task] | None:
        """The first task of a queue, until its lease is over."""
        if not self.waiting(queue):
            return None
        tag, task = next(self._tags), self.lists[queue].popleft()
        if task.expires < self._clock():
            return self.take(queue)
        self.unacked[tag] = Lease(task, self._clock() + LEASE_S)
        return tag, task

    def acknowledge(self, tag: int) -> None:
        """Forget a task that is done. A Redis that is away does not hear it."""
        self.step("acknowledge")
        if not self.away:
            self.unacked.pop(tag, None)

    def now(self) -> float:
        """Seconds of its clock."""
        return self._clock()

    def restore(self) -> None:
        """Hand out again what nobody renewed."""
        for tag in [tag for tag, lease in self.unacked.items() if lease.until <= self._clock()]:
            task = self.unacked.pop(tag).task
            self.lists[task.queue].appendleft(task)

    def forget(self) -> None:
        """Restart empty."""
        self.memory.clear()
        self.lists.clear()
        self.unacked.clear()


@dataclass(slots=True)
class _Signature:
    task: Task

    def on_error(self, errback: Self) -> None:
        self.task = replace(self.task, errback=errback.task)


@dataclass(slots=True)
class Canvas:
    """Stands in for the Celery app and for `celery.chain`, as `poller.pipeline` uses them."""

    redis: FakeRedis

    def signature(self, name: str, *, args: Any = (), queue: str, expires: float | None = None, **_: Any) -> _Signature:
        """A task that is not sent yet; it is told after how many seconds it expires, and counts them when it is sent, at once."""
        return _Signature(Task(name, queue, tuple(args), expires=math.inf if expires is None else self.redis.now() + expires))


class Chain:
    """`celery.chain`."""

    def __init__(self, *links: _Signature, app: Canvas) -> None:
        self._links = [link.task for link in links]
        self._redis = app.redis

    def apply_async(self) -> None:
        """Send the first, which knows the others."""
        first, *rest = self._links
        self._redis.publish(replace(first, links=tuple(rest)))
