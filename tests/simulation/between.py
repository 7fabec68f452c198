"""What comes between the steps of a step: a kill, a refusal, a lost answer, a bug, or what others do meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from botocore.exceptions import EndpointConnectionError
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.failpoint import FailpointError, Point
from simulation.files import POISON
from simulation.process import ChildCrash, Crash, Process
from simulation.schedule import Effect
from simulation.workers import Worker

if TYPE_CHECKING:
    from simulation.world import World

MOST_CHILDREN = 2
"""A third death of its child makes any file a poison."""
_IN_POLLER = frozenset({Effect.KILL, Effect.MEANWHILE})
_IN_WORKER = _IN_POLLER | {Effect.KILL_CHILD, Effect.RAISE}
_BEFORE = frozenset({Effect.KILL, Effect.MEANWHILE, Effect.FAIL})
_AFTER = frozenset({Effect.KILL, Effect.MEANWHILE, Effect.KILL_AFTER, Effect.LOSE_ANSWER})


@dataclass(frozen=True, slots=True)
class Frame:
    """A step that is being taken."""

    process: Process
    step: str
    life: int


@dataclass(slots=True)
class Armed:
    """What will come between: at a place whose name begins so and where it can, after so many of those."""

    effect: Effect
    at: str
    passes: int
    meanwhile: Callable[[], None]


class Between:
    """The places of one world.

    Attributes:
        frames: the steps that are being taken, each in the midst of the one before it.
        armed: what is still to come between.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._quiet = False
        self._children = 0
        self.frames: list[Frame] = []
        self.armed: list[Armed] = []

    @contextmanager
    def nothing(self) -> Iterator[None]:
        """Nothing comes between: a death and the new life, or what is no process of ours."""
        before, self._quiet = self._quiet, True
        yield
        self._quiet = before

    def place(self, what: str) -> None:
        """A place between two steps of a process."""
        if self.armed and self.frames:
            self._at(what, _IN_WORKER if isinstance(self.frames[-1].process, Worker) else _IN_POLLER, None)

    def passed(self, point: Point, key: str) -> None:
        """A failpoint of the product; called by `shared.failpoint`."""
        for file in self._world.files:
            if file.is_poison and file.key == key and POISON[file.kind] is point:
                self._world.tell(f"{file} kills its process")
                self._die(ChildCrash)
        self.place(f"at {point}")

    def sqs(self, call: str, *, done: bool = False) -> None:
        """A call of SQS, before it and after it."""
        self._call(f"SQS, {call}", EndpointConnectionError(endpoint_url="sqs"), done=done)
        if self._world.sqs_away and not done and not self._quiet:
            raise EndpointConnectionError(endpoint_url="sqs")

    def s3(self) -> None:
        """A call of S3."""
        self._call("S3, call", EndpointConnectionError(endpoint_url="s3"))
        if self._world.s3_away:
            raise EndpointConnectionError(endpoint_url="s3")

    def postgres(self, what: str) -> None:
        """A word to PostgreSQL, or its answer to a commit."""
        self._call(f"PostgreSQL, {what}", psycopg.OperationalError("the connection is lost"), done=what == "committed")

    def redis(self, what: str) -> None:
        """A command for Redis, or its answer to a publication."""
        error = RedisConnectionError("reset") if what == "set" else OperationalError("reset")
        self._call(f"Redis, {what}", error, done=what == "published")

    def _call(self, what: str, error: Exception, *, done: bool = False) -> None:
        self._at(what, _AFTER if done else _BEFORE, error)

    def _at(self, what: str, possible: frozenset[Effect], error: Exception | None) -> None:
        if not self.armed or not self.frames or self._quiet:
            return
        armed = next((armed for armed in self.armed if armed.effect in possible and what.startswith(armed.at)), None)
        if armed is None:
            return
        if armed.passes:
            armed.passes -= 1
            return
        self.armed.remove(armed)
        frame = self.frames[-1]
        if self._is_affordable(frame, armed.effect, what):
            self._world.tell(f"{what}: {armed.effect}")
            self._act(frame, armed, error)

    def _is_affordable(self, frame: Frame, effect: Effect, what: str) -> bool:
        """Whether a message has the receives left that this may cost. A killed worker costs none: Redis hands its task on."""
        spend = self._world.spend
        match effect:
            case Effect.KILL | Effect.KILL_AFTER:
                return isinstance(frame.process, Worker) or spend(1)
            case Effect.KILL_CHILD:
                self._children += 1
                return self._children <= MOST_CHILDREN and spend(1)
            case Effect.RAISE:
                return spend(1)
            case Effect.FAIL | Effect.LOSE_ANSWER:
                return not what.startswith(("SQS, receive", "SQS, change")) or spend(1)
            case Effect.MEANWHILE:
                return True

    def _act(self, frame: Frame, armed: Armed, error: Exception | None) -> None:
        match armed.effect:
            case Effect.KILL | Effect.KILL_AFTER:
                self._die(Crash)
            case Effect.KILL_CHILD:
                self._die(ChildCrash)
            case Effect.RAISE:
                raise FailpointError("a bug")
            case Effect.FAIL | Effect.LOSE_ANSWER:
                assert error is not None
                raise error
            case Effect.MEANWHILE:
                armed.meanwhile()
                if frame.process.lives != frame.life:
                    # Another thread of it was killed.
                    raise Crash

    def _die(self, how: type[Crash]) -> None:
        self._world.tasks_lost = True
        self.frames[-1].process.died()
        raise how
