"""Decryptor and loader: the product's own tasks over the fakes, and what Celery does around a task."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kombu.exceptions import OperationalError

from decryptor.sender import Senders
from decryptor.signers import AllowedSigners
from decryptor.tasks import Bench, decrypt_parcel
from decryptor.tidy import Desk, one_by_one, tidy_parcel
from fakes.broker import Task
from fakes.postgres import FakeDatabase
from loader.loading import Loader
from loader.tasks import load
from shared import losses
from shared.contract import QueueName, TaskName
from shared.failpoint import FailpointError
from simulation.process import ChildCrash, Crash, Process

if TYPE_CHECKING:
    from simulation.world import World


class Worker(Process):
    """A decryptor or a loader, with one child."""

    def __init__(self, world: "World", name: str, *queues: QueueName) -> None:
        super().__init__(world, name)
        self._queues = tuple(map(str, queues))
        self._task: tuple[int, Task] | None = None
        self.start()

    def steps(self) -> list[str]:
        """What it could do now."""
        return ["work"] if any(map(self.world.redis.waiting, self._queues)) and not self.world.workers_away else []

    def take(self, _step: str) -> None:
        """One task, from its queue to its acknowledgement."""
        if (taken := next(filter(None, map(self.world.redis.take, self._queues)), None)) is None:
            return
        tag, task = self._task = taken
        try:
            self._carry_out(task)
            self.world.redis.acknowledge(tag)
        except OperationalError:
            self.world.tell(f"{self.name} can't tell Redis what it has done")

    def buried(self, crash: Crash) -> None:
        """What Celery does for a child that was lost (task_retry_on_worker_lost). Nobody does anything for a parent."""
        if not isinstance(crash, ChildCrash) or self._task is None:
            return
        tag, task = self._task
        try:
            if task.retries < losses.MOST_RETRIES:
                self.world.redis.publish(replace(task, retries=task.retries + 1))
            elif task.errback is not None:
                self.world.redis.publish(task.errback)
            self.world.redis.acknowledge(tag)
        except OperationalError:
            self.world.tell(f"{self.name} can't tell Redis that a child is dead")

    def _carry_out(self, task: Task) -> None:
        try:
            self.world.between.place("has the task")
            result = self.run(task)
        except FailpointError:
            assert task.errback is not None
            self.world.redis.publish(task.errback)
            return
        following = task.followed_by(result)
        assert following is not None
        self.world.redis.publish(following)

    def run(self, task: Task) -> dict[str, Any]:
        """The task's body."""
        raise NotImplementedError


class Decryptor(Worker):
    """The real task over the fake S3; only the opening of age is not age's."""

    def start(self) -> None:
        """A new child."""
        super().start()
        self._partial: dict[Path, bytes] = {}
        self._bench = Bench(
            s3=lambda: self.world.s3,
            keyring=cast("Any", None),
            spool_dir=self.world.spool,
            senders=Senders(self.world.datasets, AllowedSigners(None)),
            sleep=lambda _: None,
            clock=self.world.clock,
        )

    def run(self, task: Task) -> dict[str, Any]:
        """Decrypt, or put receipts, tag and delete."""
        if task.name == TaskName.TIDY:
            return tidy_parcel(Desk(lambda: self.world.s3, each=one_by_one), task.args[0], task.retries)
        return decrypt_parcel(self._bench, task.args[0], task.retries)

    def died(self) -> None:
        """A killed process can't remove its partial file."""
        self._partial = {path: path.read_bytes() for path in self.world.spool.glob(".*.part")}

    def buried(self, crash: Crash) -> None:
        """The cleaning up, which the crash could not keep from running, is undone."""
        for path, data in self._partial.items():
            if not path.exists():
                path.write_bytes(data)
        super().buried(crash)


class LoaderProcess(Worker):
    """The real task over the fake PostgreSQL."""

    def start(self) -> None:
        """A new child; the server rolls back what the old one had begun."""
        super().start()
        if hasattr(self, "_database"):
            self._database.close()
        self._database = FakeDatabase(self.world.postgres)
        self._loader = Loader(cast("Any", self._database), self.world.datasets, self.world.spool, self.name)

    def run(self, task: Task) -> dict[str, Any]:
        """Load."""
        return load(self._loader, task.args[0], task.retries)
