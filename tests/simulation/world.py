"""The world of one schedule: all services, all fakes, one clock, and the story of what happened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from fakes.broker import FakeRedis
from fakes.clock import Clock
from fakes.postgres import Change, FakePostgres, Table
from fakes.s3 import FakeS3
from fakes.sqs import StoredMessage
from shared.contract import QueueName
from shared.datasets import Mode
from shared.datasets_file import DatasetsFile
from shared.protocol import TIDY_TRIES
from simulation.between import Between, Frame
from simulation.files import DATASETS, File, Part
from simulation.pollers import Poller
from simulation.process import Process
from simulation.queue import DLQ, MAX_RECEIVE_COUNT, QUEUE, SimulatedSQS
from simulation.workers import Decryptor, LoaderProcess, Worker


class World:
    """Built anew for each schedule.

    SQS moves what it has handed out five times to the dead-letter queue, so a schedule may not do more to a message than that
    leaves room for. Whoever does something that may cost a message a receive says so with `spend`, and a message that is received
    more often than that was burnt by the product.

    Attributes:
        story: what happened, a line each.
        harms: what must never be, and was.
        files: all that were uploaded, in that order.
        late: those whose event has not arrived yet.
        history: which file came to which end, in the order of the commits.
        spent: receives that the faults so far may have cost a message.
        given_up: keys of the objects that are neither tagged nor deleted, after refusals for which there were faults enough.
        untold: likewise, of those that have no receipt, or not the last one.
        tasks_lost: something may be left in the spool for the sweep.
    """

    def __init__(self, spool: Path, datasets: DatasetsFile) -> None:
        self.story: list[str] = []
        self.harms: list[str] = []
        self.files: list[File] = []
        self.late: list[File] = []
        self.history: list[tuple[File, str]] = []
        self.spent = 0
        self.given_up: set[str] = set()
        self.untold: set[str] = set()
        self.tasks_lost = False
        self.workers_away = self.s3_away = self.sqs_away = False
        self.datasets, self.spool = datasets, spool
        self.clock = Clock(0.0)
        self.between = Between(self)
        self.redis, self.postgres, self.s3, self.sqs = FakeRedis(self.clock), FakePostgres(), FakeS3(), SimulatedSQS(self)
        self._connect()
        self.pollers = [Poller(self, name) for name in ("poller-1", "poller-2")]
        self.workers: list[Worker] = [Decryptor(self, f"decryptor-{n}", QueueName.DECRYPT, QueueName.TIDY) for n in (1, 2)]
        self.workers += [LoaderProcess(self, f"loader-{n}", QueueName.LOAD) for n in (1, 2)]
        self.processes: list[Process] = [*self.workers, *self.pollers]
        for each in self.pollers:
            each.keep()

    def _connect(self) -> None:
        self.postgres.tables = {f"public.{name}": Table(("id", "v"), int(mode is Mode.UPSERT)) for name, mode in DATASETS.items()}
        self.postgres.on_commit = self._committed
        self.postgres.step = self.between.postgres
        self.redis.step = self.between.redis
        self.s3.before = lambda _: self.between.s3()
        self.sqs.add_queue(DLQ)
        self.sqs.add_queue(QUEUE, dlq_url=DLQ, max_receive_count=MAX_RECEIVE_COUNT)

    def tell(self, line: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{self.clock.now:6.0f} s  {'    ' * len(self.between.frames)}{line}")

    def harm(self, what: str) -> None:
        """Note what must never be."""
        self.harms.append(what)
        self.tell(f"!! {what}")

    def spend(self, receives: int) -> bool:
        """Whether a message can still afford to be received so many times more; then the faults may make it."""
        if self.spent + receives >= MAX_RECEIVE_COUNT:
            return False
        self.spent += receives
        return True

    # Files

    def put(self, file: File) -> None:
        """Upload a file; nobody knows of it yet."""
        self.files.append(file)
        self.late.append(file)
        file.put(self.s3)
        self.tell(f"a sender uploads {file}")

    def announce(self, file: File) -> None:
        """Its event arrives, for the first time or again. Each time a poison may cost those that travel with it a receive."""
        again = file not in self.late
        if again and file.is_poison and not self.spend(1):
            return
        if not again:
            self.late.remove(file)
        self.sqs.deliver(file.event)
        self.tell(f"the event of {file} arrives{' again' if again else ''}")

    def name(self, body: str) -> str:
        """Which file a message is about."""
        return str(self._file(body))

    def _file(self, body: str) -> File:
        return next(file for file in self.files if file.event == body)

    def left_in_s3(self, key: str) -> None:
        """A poller gives up to have an object tagged or deleted."""
        self.tell(f"{key} is left in S3")
        if self.spent >= TIDY_TRIES:
            self.given_up.add(key)

    def left_untold(self, key: str) -> None:
        """A poller gives up to have a receipt put."""
        self.tell(f"the receipt of {key} is given up")
        if self.spent >= TIDY_TRIES:
            self.untold.add(key)

    # Steps

    def workers_answer(self) -> bool:
        """What the workers say to a ping."""
        if self.redis.away:
            raise RedisConnectionError("connection refused")
        return not self.workers_away

    def possible(self) -> list[tuple[Process, str]]:
        """Who can do what; a thread or a child that is at something can't."""
        frames = self.between.frames
        busy = {(frame.process, frame.step) for frame in frames}
        # A poller that stops has ended its other threads.
        stopping = {frame.process for frame in frames if frame.step == "stop"}
        return [
            (process, step)
            for process in self.processes
            if process not in stopping
            for step in process.steps()
            if (process, step) not in busy
        ]

    def take(self, process: Process, step: str) -> None:
        """Let one process take a step."""
        self.tell(f"{process.name}: {step}")
        self.between.frames.append(Frame(process, step, process.lives))
        try:
            process.do(step)
        finally:
            self.between.frames.pop()

    # What the fakes report

    def _committed(self, changes: list[Change]) -> None:
        names = {(file.key, file.version): file for file in self.files}
        for change in changes:
            file, status = names[change.after["key"], change.after["version_id"]], change.after["status"]
            self.tell(f"committed: {file} is {status} {change.after['error_code'] or ''}".rstrip())
            if change.before is not None and change.before["status"] not in {"failed", "rejected", "staged"}:
                self.harm(f"{file} was {change.before['status']} and became {status}")
            if status != "failed":
                self.history.append((file, status))
        for file in {names[change.after["key"], change.after["version_id"]] for change in changes if change.after["status"] == "loaded"}:
            self._check_group(file)

    def _check_group(self, file: File) -> None:
        """Of a group with a part that is loaded, all are."""
        if file.part is None:
            return
        rows = self.postgres.files.values()
        loaded = sum(row["status"] == "loaded" and row["group_id"] is not None and self._is_of(row, file.part) for row in rows)
        if loaded != len(file.part.kinds):
            self.harm(f"apart: {file} is loaded, and only {loaded} of its group's {len(file.part.kinds)} parts are")

    def _is_of(self, row: Mapping[str, Any], part: Part) -> bool:
        file = next(file for file in self.files if (file.key, file.version) == (row["key"], row["version_id"]))
        return file.part is not None and file.part.group == part.group

    def received(self, message: StoredMessage) -> None:
        """SQS hands a message out."""
        file = self._file(message.body)
        self.tell(f"SQS hands out {file}, receive {message.receive_count}")
        if message.receive_count > 1 + self.spent and not file.is_poison:
            self.harm(f"burnt: {file} was received {message.receive_count} times, after faults that cost {self.spent}")
