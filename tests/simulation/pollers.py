"""The poller: the product's own courier over the fakes."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from kombu.exceptions import OperationalError

from fakes.broker import Canvas
from fakes.line import BUCKET
from poller.courier import Courier
from poller.held import Finished
from poller.pipeline import Pipeline
from poller.settings import PollerSettings
from poller.sqs import SQS_ERRORS, IngestQueue
from shared.contract import SettledParcel, TaskName, settle_queue
from simulation.process import Process
from simulation.queue import DLQ, QUEUE, VISIBILITY_S

if TYPE_CHECKING:
    from simulation.world import World


@cache
def _settings(name: str) -> PollerSettings:
    given = {"redis_url": "redis://unused.invalid", "instance": name, "queue_url": QUEUE, "dlq_url": DLQ, "bucket": BUCKET}
    return PollerSettings.model_validate(given | {"visibility_timeout": VISIBILITY_S, "max_in_flight": 4})


class _Courier(Courier):
    """The product's, which is overheard."""

    left: Callable[[str], None]
    """Told the key of each object that is given up."""
    untold: Callable[[str], None]
    """Told the key of each object whose receipt is."""

    def _conclude(self, *finished: Finished) -> None:
        for told in (told for each in finished for told in each.tidied):
            if told.object:
                self.left(told.key)
            if told.receipt:
                self.untold(told.key)
        super()._conclude(*finished)


class Poller(Process):
    """A poller; its three threads take turns."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(world, name)
        self.queue = settle_queue(name)
        self.start()

    def start(self) -> None:
        """A new process."""
        super().start()
        world = self.world
        self.courier = _Courier(
            _settings(self.name),
            IngestQueue(cast("Any", world.sqs), QUEUE, DLQ, VISIBILITY_S),
            Pipeline(cast("Any", Canvas(world.redis)), self.name, _settings(self.name).task_deadline),
            cast("Any", world.redis),
            world.clock,
            workers_answer=world.workers_answer,
            chance=lambda: 1.0,
        )
        self.courier.left, self.courier.untold = world.left_in_s3, world.left_untold

    def steps(self) -> list[str]:
        """What it could do now."""
        found = ["settle"] if self.world.redis.waiting(self.queue) else []
        if self.courier.broker_up.is_set() and self.world.sqs.visible(QUEUE):
            found.append("receive")
        if self.courier.wake.is_set() or len(self.courier.in_flight):
            found.append("keep")
        return found

    def take(self, step: str) -> None:
        """One round of one thread."""
        try:
            getattr(self, step)()
        except SQS_ERRORS:
            self.world.tell(f"{self.name} has trouble with SQS")
        if step == "stop":
            self.start()

    def receive(self) -> None:
        """The receiving thread."""
        self.courier.receive()

    def keep(self) -> None:
        """The keeping thread."""
        self.courier.wake.clear()
        self.courier.keep()

    def settle(self) -> None:
        """The Celery worker in the poller's process."""
        if (taken := self.world.redis.take(self.queue)) is None:
            return
        tag, task = taken
        if task.name == TaskName.SETTLE:
            self.courier.settle(SettledParcel.read(task.args[0]))
        else:
            self.courier.settle_failed(task.args[0])
        try:
            self.world.redis.acknowledge(tag)
        except OperationalError:
            self.world.tell(f"{self.name} can't tell Redis that it knows")

    def stop(self) -> None:
        """SIGTERM with nothing more to wait for."""
        self.courier.hand_back()
        self.courier.flush()
