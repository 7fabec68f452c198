"""Submits parcels to the line: chain(decrypt → load → settle) or chain(tidy → settle), with an errback on every signature."""

from collections.abc import Iterable, Iterator
from uuid import uuid4

from celery import Celery, chain
from celery.canvas import Signature
from kombu.exceptions import OperationalError

from poller.held import Held
from shared import protocol
from shared.contract import FileRef, Parcel, QueueName, TaskName, TidyParcel, settle_queue

BROKER_ERRORS = (OperationalError, ConnectionError, TimeoutError)
"""What submitting raises while Redis is away."""
LONGEST_LABEL = 200


def parcels(held: Iterable[Held], max_files: int, max_bytes: int) -> Iterator[list[Held]]:
    """Group messages so that small files share a chain, and those whose objects are to be tagged or deleted another.

    A message that SQS hands out again, or that is tried again, travels alone: should its file crash the workers, it burns
    nobody else's attempts.
    """
    held = list(held)
    for alike in ([h for h in held if not h.chores], [h for h in held if h.chores]):
        yield from _grouped(alike, max_files, max_bytes)


def _grouped(held: Iterable[Held], max_files: int, max_bytes: int) -> Iterator[list[Held]]:
    group: list[Held] = []
    for each in held:
        alone = each.message.receive_count > 1 or each.retries > 0 or each.size > max_bytes or each.problem is not None
        if alone:
            yield [each]
            continue
        count, size = sum(len(h.files) for h in group), sum(h.size for h in group)
        if group and (count + len(each.files) > max_files or size + each.size > max_bytes):
            yield group
            group = []
        group.append(each)
    if group:
        yield group


class Pipeline:
    """The way into the line for one poller.

    Args:
        app: sends.
        instance: of the poller.
        task_deadline: seconds, of an empty file. A chain that nobody has begun by its deadline, when the poller gives it up, is passed over
            by the worker that gets it: else the copies of a file that hangs would each cost a worker its time limit.
    """

    def __init__(self, app: Celery, instance: str, task_deadline: float) -> None:
        self._app = app
        self._settle_queue = settle_queue(instance)
        self._task_deadline = task_deadline

    def submit(self, group: list[Held]) -> str:
        """Put one parcel on its way; returns its id. The messages are all to be loaded, or all have chores.

        Raises:
            BROKER_ERRORS: Redis is away. The parcel may or may not have been queued; submitting it again is harmless.
        """
        files = tuple(file for held in group for file in held.travelling)
        if not files:
            # All were settled between being due and now, by an earlier chain that was thought lost.
            return ""
        parcel_id, label = uuid4().hex[:12], _label(files)
        for held in group:
            held.parcel_id = parcel_id
        chores = tuple(chore for held in group for chore in held.chores)
        parcel: Parcel | TidyParcel
        if chores:
            parcel, route = TidyParcel(parcel_id=parcel_id, chores=chores), [(TaskName.TIDY, QueueName.TIDY)]
        else:
            # What is to be rejected goes the same way: the poller may not write the loader's queue.
            parcel = Parcel(parcel_id=parcel_id, files=files, problem=group[0].problem)
            route = [(TaskName.DECRYPT, QueueName.DECRYPT), (TaskName.LOAD, QueueName.LOAD)]
        (task, queue), *others = [*route, (TaskName.SETTLE, self._settle_queue)]
        expires = max(protocol.allowance(held.size, self._task_deadline) for held in group)
        links = [
            self._signature(task, str(queue), label, parcel_id, parcel.dump(), expires=expires),
            *(self._signature(task, str(queue), label, parcel_id) for task, queue in others),
        ]
        chain(*links, app=self._app).apply_async()
        return parcel_id

    def _signature(self, task: TaskName, queue: str, label: str, parcel_id: str, *args: object, expires: float | None = None) -> Signature:
        # str(): Celery takes anything with a `name` for a task of its own, an enum member too.
        # The label is what a person reads in Flower. It is set on each link: options of a chain reach only its first task.
        errback = self._app.signature(str(TaskName.SETTLE_FAILED), args=[parcel_id], immutable=True, queue=self._settle_queue)
        named = {"argsrepr": label, "kwargsrepr": "", "task_id": task_id(parcel_id, task)}
        link = self._app.signature(str(task), args=args, queue=queue, expires=expires, **named)
        link.on_error(errback)
        return link


def task_id(parcel_id: str, task: TaskName) -> str:
    """How Celery calls a link of a parcel's chain."""
    return f"{parcel_id}-{task.name.lower()}"


def _label(files: tuple[FileRef, ...]) -> str:
    more = f" (+{len(files) - 1} more)" if len(files) > 1 else ""
    # repr without its quotes: as a person wrote it, but nothing that would garble a line or a terminal.
    return repr(files[0].key)[1:-1][:LONGEST_LABEL] + more
