"""The product, broken on purpose: each is a promise that the line would not keep, and the simulation must notice it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

import decryptor.part
from decryptor import receipts
from fakes.broker import Task
from fakes.postgres import SETTLED_GUARD
from loader import groups, ledger, loading, statements
from poller.courier import Courier
from poller.in_flight import InFlight
from poller.outbox import Outbox
from shared import protocol
from shared.contract import DecryptedParcel, SettledParcel, Settlement, Verdict
from shared.protocol import FileStatus, Happening
from simulation.workers import LoaderProcess, Worker

Mutation = Callable[[], AbstractContextManager[None]]


@contextmanager
def settle_before_commit() -> Iterator[None]:
    """The loader says that the files are loaded, and then loads them."""
    carry_out = Worker._carry_out

    def hasty(worker: Any, task: Task) -> None:
        if not isinstance(worker, LoaderProcess):
            carry_out(worker, task)
            return
        parcel = DecryptedParcel.read(task.args[0])
        done = [
            Settlement(message_id=i.file.message_id, file_id=i.file.file_id, verdict=Verdict.DONE, status="loaded") for i in parcel.items
        ]
        following = task.followed_by(SettledParcel(parcel_id=parcel.parcel_id, settlements=tuple(done)).dump())
        assert following is not None
        worker.world.redis.publish(following)
        worker.run(task)

    with mock.patch.object(Worker, "_carry_out", hasty):
        yield


@contextmanager
def ledger_outside_transaction() -> Iterator[None]:
    """The loader commits the rows first, and then, in a transaction of its own, the ledger's row."""

    def load_file(connection: Any, job: Any, spool_dir: Any, shelf: Any) -> Any:
        with connection.transaction():
            claim = ledger.claim(connection, job)
            if isinstance(claim, FileStatus):
                return ledger.Outcome(claim)
            outcome = loading._carry(connection, job, claim, spool_dir, shelf)
        with connection.transaction():
            ledger.finish(connection, job, outcome)
        return outcome

    with mock.patch.object(loading, "load_file", load_file):
        yield


@contextmanager
def no_sequencer_guard() -> Iterator[None]:
    """The loader does not ask whether something newer was loaded."""
    with _less(statements._SUPERSEDED, b" false ", "CLAIM", "STANDING"):
        yield


@contextmanager
def settled_files_taken_up() -> Iterator[None]:
    """The claim takes up what is settled, too."""
    with _less(SETTLED_GUARD, b"", "CLAIM"):
        yield


@contextmanager
def _less(what: bytes, instead: bytes, *names: str) -> Iterator[None]:
    without = {name: getattr(statements, name).replace(what, instead) for name in names}
    with mock.patch.multiple(statements, **without):
        yield


@contextmanager
def delete_before_dead_letter() -> Iterator[None]:
    """The poller deletes rejected messages, and then copies them to the dead-letter queue."""
    flush = Outbox.flush

    def hasty(outbox: Any) -> None:
        while outbox._finished:
            outbox._sort(outbox._finished.popleft())
        outbox._queue.delete(outbox.receipts())
        flush(outbox)

    with mock.patch.object(Outbox, "flush", hasty):
        yield


@contextmanager
def outage_burns_receives() -> Iterator[None]:
    """A failure hands the message back, and SQS counts it."""
    with mock.patch.object(protocol, "failure", return_value=Happening.BROKEN):
        yield


@contextmanager
def lost_chains_burn_receives() -> Iterator[None]:
    """What Redis has lost is submitted again neither when it forgot nor at the deadline: it goes back to SQS."""
    with mock.patch.object(InFlight, "resubmit_all", return_value=0), mock.patch.object(InFlight, "resubmit_waiting", return_value=[]):
        yield


@contextmanager
def no_heartbeat() -> Iterator[None]:
    """The poller does not keep its messages in flight."""
    with mock.patch.object(Courier, "_heartbeat", return_value=None):
        yield


@contextmanager
def settle_before_tidy() -> Iterator[None]:
    """The poller submits what is to be tagged or deleted, and lets the message go."""

    def end(registry: Any, held: Any) -> Any:
        rejection = next((s for s in held.settled.values() if s.verdict is Verdict.REJECTED), None)
        return registry._let_go(held, Happening.REJECTED if rejection else Happening.DONE, rejection)

    submit_due = Courier.submit_due

    def hasty(courier: Any) -> None:
        submit_due(courier)
        for held in list(courier.in_flight._held.values()):
            if held.under_way and held.chores:
                courier._settled(end(courier.in_flight, held))

    with mock.patch.object(Courier, "submit_due", hasty):
        yield


@contextmanager
def superseded_deleted() -> Iterator[None]:
    """The loader wants every object tagged or deleted whose file is done."""
    with mock.patch.object(protocol, "TIDIED", frozenset(FileStatus) - protocol.RETAKEN):
        yield


@contextmanager
def missing_objects_rejected() -> Iterator[None]:
    """The loader does not ask the ledger about a file whose object is gone."""
    load_file = loading.load_file

    def hasty(connection: Any, job: Any, *more: Any) -> Any:
        return ledger.Outcome.of(job.problem) if job.problem is not None else load_file(connection, job, *more)

    with mock.patch.object(loading, "load_file", hasty):
        yield


@contextmanager
def receipts_put_blindly() -> Iterator[None]:
    """The decryptor puts a receipt whatever is there."""

    def blind(s3: Any, letter: receipts.Letter, _replaced: dict[str, str]) -> bool:
        s3.put_object(**letter.name, **letter.content)
        return True

    with mock.patch.object(receipts, "_put", blind):
        yield


@contextmanager
def parts_loaded_one_by_one() -> Iterator[None]:
    """The loader takes each part for a file by itself."""
    with mock.patch.object(ledger.Job, "part", None):
        yield


@contextmanager
def known_files_without_receipt() -> Iterator[None]:
    """The loader hands no receipt on of a file that needs no reading: it was settled before, or something newer was."""
    told = loading.receipts.told

    def hasty(connection: Any, job: Any, outcome: Any, **more: Any) -> Any:
        return outcome if outcome.target is None and outcome.error_code is None else told(connection, job, outcome, **more)

    with mock.patch.object(loading.receipts, "told", hasty):
        yield


@contextmanager
def only_the_last_part_tidied() -> Iterator[None]:
    """The message of the part that came last sees to its own object."""
    with mock.patch.object(groups, "with_siblings", lambda _connection, _job, outcome: outcome):
        yield


@contextmanager
def siblings_told_once() -> Iterator[None]:
    """The loader names the other parts when it loads the group, and not when the message comes again."""
    with_siblings = groups.with_siblings

    def fresh(connection: Any, job: Any, outcome: Any) -> Any:
        return with_siblings(connection, job, outcome) if outcome.target else outcome

    with mock.patch.object(groups, "with_siblings", fresh):
        yield


@contextmanager
def corrupt_parts_tell_no_group() -> Iterator[None]:
    """The decryptor keeps to itself whose part it rejects."""
    with mock.patch.object(decryptor.part, "of_its_group", lambda rejection, *_: rejection):
        yield


MUTATIONS: dict[str, tuple[Mutation, str]] = {
    "settle before commit": (settle_before_commit, "lost"),
    "ledger outside the transaction": (ledger_outside_transaction, "doubled"),
    "no sequencer guard": (no_sequencer_guard, "instead of superseded"),
    "delete before the dead letter's copy": (delete_before_dead_letter, "not in the dead-letter queue"),
    "settled files taken up again": (settled_files_taken_up, "and became"),
    "outage burns receives": (outage_burns_receives, "burnt"),
    "lost chains burn receives": (lost_chains_burn_receives, "burnt"),
    "no heartbeat": (no_heartbeat, "burnt"),
    "settled before tidied": (settle_before_tidy, "untidy"),
    "superseded files deleted": (superseded_deleted, "untidy"),
    "parts loaded one by one": (parts_loaded_one_by_one, "apart"),
    "only the last part tidied": (only_the_last_part_tidied, "untidy"),
    "the other parts named once": (siblings_told_once, "untidy"),
    "corrupt parts tell no group": (corrupt_parts_tell_no_group, "instead of rejected"),
    "receipts put blindly": (receipts_put_blindly, "older receipt over newer"),
    "known files without a receipt": (known_files_without_receipt, "wrong receipt"),
    "files rejected whose loaded object is gone": (missing_objects_rejected, "false DLQ"),
}
"""By name: how the product is broken, and what the simulation must say."""
