"""Rounds: three real threads around one courier; the Celery worker is real too, on kombu's broker in memory."""

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, _state
from celery.worker import WorkController, state
from kombu.transport.memory import Channel

from fakes.clock import Clock
from fakes.line import FakeBroker, FakePipeline, body, eventbridge, settled
from fakes.poller import DLQ, QUEUE, courier, queues, settings
from poller import app as poller_app
from poller import threads
from poller.app import Poller
from poller.held import Held
from poller.sqs import SQS_ERRORS
from poller.threads import Rounds
from shared import celery_app, health, protocol
from shared.contract import PAYLOAD_VERSION, FileRef, QueueName, TaskName, Verdict
from shared.protocol import Dependency

PATIENCE_S = 15
"""How long a test waits for what must happen; never how long it takes."""


class SignallingPipeline(FakePipeline):
    """Tells the test that files were submitted; can be made to break."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()
        self.bug: Exception | None = None

    def submit(self, group: list[Held]) -> str:
        if self.bug:
            raise self.bug
        with self.changed:
            parcel = super().submit(group)
            self.changed.notify_all()
        return parcel

    def wait_for(self, files: int) -> list[FileRef]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.files) >= files, PATIENCE_S)
            return self.files


class Running:
    """One poller whose threads the test starts and ends."""

    def __init__(self) -> None:
        self.settings = settings()
        self.clock = Clock()
        self.sqs = queues(self.clock)
        self.pipeline, self.broker = SignallingPipeline(), FakeBroker()
        self.app = self._app()
        self.courier = courier(self.settings, self.sqs, self.pipeline, self.broker, Clock())
        poller_app._register(self.app, self.courier)
        self.rounds = Rounds(Poller(self.app, self.courier), self.settings)
        # Stands for the long poll: a receive that finds nothing waits for the end, or for its next turn.
        self.sqs.on_empty = self._long_poll
        self.ended_well: bool | None = None
        self._main = threading.Thread(target=self._run, daemon=True)
        self._drain_timeout = 0.0

    def _app(self) -> Celery:
        app = celery_app.build(QueueName.SETTLE, self.settings, queue="settle.p1")
        app.conf.update(broker_url="memory://", broker_transport_options={"visibility_timeout": 3600, "polling_interval": 0.01})
        app.conf.broker_connection_retry_on_startup = False
        return app

    def _long_poll(self) -> None:
        self.rounds.stopping.wait(0.01)

    def _run(self) -> None:
        self.ended_well = self.rounds.run(self._drain_timeout)

    def start(self, drain_timeout: float = 0.0) -> None:
        self._drain_timeout = drain_timeout
        self._main.start()

    def send(self, count: int) -> None:
        for n in range(count):
            event = eventbridge(f"incoming/orders/{n}.csv.gz.age", version=f"v{n}")
            self.sqs.send_message(QueueUrl=QUEUE, MessageBody=body(event))

    def wait_for_end(self) -> bool | None:
        self._main.join(PATIENCE_S)
        assert not self._main.is_alive()
        return self.ended_well

    def stop(self) -> bool | None:
        self.rounds.stopping.set()
        return self.wait_for_end()


class IdleWorker:
    """Stands for Celery's worker where nothing is to settle: runs until told to stop, without its two-second poll."""

    def __init__(self, **_: object) -> None:
        """Take what WorkController takes."""

    def start(self) -> None:
        never = threading.Event()
        while state.should_stop is None:
            never.wait(0.01)


@pytest.fixture
def poller(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(threads, "WorkController", IdleWorker)
    yield from running(monkeypatch)


@pytest.fixture
def celery_poller(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """With Celery's own worker."""
    yield from running(monkeypatch)


def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    # Short pauses, and threads that look more often: the tests wait for events, not for these.
    monkeypatch.setattr(protocol, "probe_pause", lambda *_: 0.01)
    monkeypatch.setattr(threads, "IDLE_CHECK_S", 0.01)
    monkeypatch.setattr(threads, "KEEP_INTERVAL_S", 0.01)
    # Celery takes tasks of the first app of a process for those of every later one; here each test has an app of its own.
    monkeypatch.setattr(_state, "_on_app_finalizers", set())
    monkeypatch.setattr(_state, "default_app", None)
    state.should_stop = None
    made = Running()
    yield made
    made.rounds.stopping.set()
    state.should_stop = 0  # type: ignore[assignment]  # an exit code, as in poller.threads
    for thread in (made._main, made.rounds._settler):
        if thread.ident is not None:
            thread.join(PATIENCE_S)
    made.app.close()
    Channel.queues.clear()
    state.should_stop = None


def test_a_settlement_that_arrives_through_celery_deletes_the_message(celery_poller: Running) -> None:
    celery_poller.send(3)
    celery_poller.start(drain_timeout=PATIENCE_S)
    files = celery_poller.pipeline.wait_for(3)
    celery_poller.app.send_task(str(TaskName.SETTLE), args=[settled(tuple(files)).dump()], queue="settle.p1")
    assert celery_poller.stop() is True
    assert celery_poller.sqs.bodies(QUEUE) == []


def errback_arrives(poller: Running, _file: FileRef, parcel_id: str) -> None:
    poller.app.send_task(str(TaskName.SETTLE_FAILED), args=[parcel_id], queue="settle.p1")


def newer_settlement_arrives(poller: Running, file: FileRef, parcel_id: str) -> None:
    """With the errback that the pipeline puts on every link."""
    errback = poller.app.signature(str(TaskName.SETTLE_FAILED), args=[parcel_id], immutable=True, queue="settle.p1")
    newer = settled((file,)).dump() | {"v": PAYLOAD_VERSION + 1}
    poller.app.send_task(str(TaskName.SETTLE), args=[newer], queue="settle.p1", link_error=errback)


@pytest.mark.parametrize("arrives", [errback_arrives, newer_settlement_arrives])
def test_a_failed_chain_that_arrives_through_celery_is_given_back(
    celery_poller: Running, arrives: Callable[[Running, FileRef, str], None]
) -> None:
    pause = protocol.back_pause(1, celery_poller.settings.visibility_timeout)
    handed_back = threading.Event()
    change: Callable[..., dict[str, Any]] = celery_poller.sqs.change_message_visibility_batch

    def noting(**request: Any) -> dict[str, Any]:
        answer = change(**request)
        if request["Entries"][0]["VisibilityTimeout"] == pause:
            handed_back.set()
        return answer

    celery_poller.sqs.change_message_visibility_batch = noting  # type: ignore[method-assign]  # to know when it was
    celery_poller.send(1)
    celery_poller.start()
    [file] = celery_poller.pipeline.wait_for(1)
    arrives(celery_poller, file, celery_poller.pipeline.chain_of[file.message_id])
    assert handed_back.wait(PATIENCE_S)
    celery_poller.clock.advance(pause)
    again = celery_poller.pipeline.wait_for(2)
    assert [each.attempt for each in again] == [1, 2]
    assert celery_poller.stop() is True
    assert celery_poller.sqs.bodies(DLQ) == []


def test_a_stop_lets_held_files_finish(poller: Running) -> None:
    poller.send(3)
    poller.start(drain_timeout=PATIENCE_S)
    files = poller.pipeline.wait_for(3)
    poller.rounds.stopping.set()
    poller.courier.settle(settled(tuple(files)))
    assert poller.wait_for_end() is True
    assert poller.sqs.bodies(QUEUE) == []


def test_a_stop_hands_back_what_does_not_finish(poller: Running) -> None:
    poller.send(3)
    poller.start()
    files = poller.pipeline.wait_for(3)
    poller.courier.settle(settled((files[0],), Verdict.REJECTED))
    assert poller.stop() is True
    assert [message.receive_count for message in poller.sqs.visible(QUEUE)] == [1, 1]
    assert len(poller.sqs.bodies(DLQ)) == 1


def test_nothing_is_received_after_a_stop(poller: Running) -> None:
    poller.start()
    assert poller.stop() is True
    poller.send(1)
    assert [message.receive_count for message in poller.sqs.visible(QUEUE)] == [0]


def test_sqs_away_for_a_while_is_waited_out(poller: Running) -> None:
    poller.sqs.outages |= {"receive_message": 3}
    poller.send(1)
    poller.start()
    poller.pipeline.wait_for(1)
    assert poller.stop() is True


def test_nothing_is_received_while_the_broker_is_away(poller: Running) -> None:
    poller.broker.away = True
    poller.send(1)
    asked = threading.Semaphore(0)
    answer: Callable[..., bool | None] = poller.broker.set

    def noting(name: str, value: str, *, nx: bool) -> bool | None:
        asked.release()
        return answer(name, value, nx=nx)

    poller.broker.set = noting  # type: ignore[method-assign]  # to know that the keeper has asked
    poller.start()
    for _ in range(3):
        assert asked.acquire(timeout=PATIENCE_S)
    assert poller.pipeline.files == []
    poller.broker.away = False
    poller.pipeline.wait_for(1)
    assert poller.stop() is True


def test_a_dying_receiver_ends_the_process_and_hands_back(poller: Running) -> None:
    poller.pipeline.bug = RuntimeError("a bug")
    poller.send(1)
    poller.start()
    assert poller.wait_for_end() is False
    assert len(poller.sqs.visible(QUEUE)) == 1


def test_a_dying_keeper_ends_the_process(poller: Running) -> None:
    def bug(*_: object, **__: object) -> bool:
        raise RuntimeError("a bug")

    poller.broker.set = bug  # type: ignore[method-assign]  # a bug in the keeper's round
    poller.start()
    assert poller.wait_for_end() is False


def test_a_settler_that_can_not_start_ends_the_process(poller: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(**_: object) -> WorkController:
        raise RuntimeError("a bug")

    monkeypatch.setattr(threads, "WorkController", bug)
    poller.start()
    assert poller.wait_for_end() is False


def test_a_settler_that_ends_by_itself_ends_the_process(poller: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery's worker logs an unrecoverable error of its consumer and returns from `start`; nobody would settle any more."""
    ended = threading.Event()

    def end(_: object) -> None:
        ended.set()

    monkeypatch.setattr(IdleWorker, "start", end)
    poller.start()
    assert ended.wait(PATIENCE_S)
    poller.rounds._settler.join(PATIENCE_S)
    assert poller.rounds._dead.is_set()
    assert poller.wait_for_end() is False


def test_celery_returns_from_an_unrecoverable_error(celery_poller: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fact behind the test above."""

    def unrecoverable(_: object) -> None:
        raise RuntimeError("a bug in the consumer")

    monkeypatch.setattr("celery.worker.consumer.consumer.Consumer.start", unrecoverable)
    celery_poller.rounds._settle()


def test_the_drain_lasts_for_its_time_however_many_files_finish(poller: Running) -> None:
    poller.send(10)
    poller.courier.receive()
    files = list(poller.pipeline.files)

    class FinishesOneEachTime(threading.Event):
        def wait(self, _timeout: float | None = None) -> bool:
            poller.courier.settle(settled((files.pop(),)))
            return True

    poller.courier.room = FinishesOneEachTime()
    poller.rounds._drain(3 * threads.IDLE_CHECK_S)
    assert len(poller.courier.in_flight) == 0


def test_sqs_away_while_stopping_still_stops_the_settler(poller: Running) -> None:
    poller.send(1)
    poller.start()
    poller.pipeline.wait_for(1)
    poller.sqs.outages |= {"change_message_visibility_batch": 10**6}
    assert poller.stop() is not None
    poller.rounds._settler.join(PATIENCE_S)
    assert not poller.rounds._settler.is_alive()


@pytest.mark.parametrize("failures", [1, 10, 100, 5_000])
def test_the_pause_has_an_end_however_long_sqs_is_away(poller: Running, failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back within 10 s means that nobody may sleep for longer."""
    monkeypatch.undo()
    asked: list[float] = []

    class Noting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            asked.append(timeout or 0)
            return True

    poller.rounds._wait_out(Noting(), failures)
    assert 0.5 <= asked[0] <= protocol.LONGEST_PROBE_S


def test_a_receiver_that_may_not_receive_waits(poller: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL is away: SQS is not asked, and the processor neither."""
    waited = threading.Semaphore(0)

    class Noting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.release()
            return super().wait(timeout)

    monkeypatch.setattr(threads, "IDLE_CHECK_S", 0.01)
    poller.courier.room = Noting()
    poller.courier.broker_up.set()
    poller.send(2)
    poller.courier.receive()
    poller.send(1)
    for file in poller.pipeline.files:
        poller.courier.settle(settled((file,), Verdict.RETRY))
    poller.start()
    for _ in range(3):
        assert waited.acquire(timeout=PATIENCE_S)
    assert poller.sqs.calls.count("receive_message") == 1
    assert poller.stop() is True


# Health


@pytest.fixture
def health_file(poller: Running, tmp_path: Path) -> Path:
    path = tmp_path / "alive"
    poller.rounds._settings = poller.settings.model_copy(update={"health_file": path})
    return path


def test_a_round_of_the_keeper_is_a_sign_of_life(poller: Running, health_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched: queue.SimpleQueue[tuple[str, Path | None]] = queue.SimpleQueue()
    monkeypatch.setattr(health, "touch", lambda path: touched.put((threading.current_thread().name, path)))
    poller.start()
    assert [touched.get(timeout=PATIENCE_S) for _ in range(3)] == [("keep", health_file)] * 3
    assert poller.stop() is True


def test_a_keeper_that_meets_an_outage_gives_a_sign_of_life_and_says_what_is_away(poller: Running, health_file: Path) -> None:
    """A restart would mend nothing, and lose what is held."""
    tried = threading.Semaphore(0)

    def fail() -> None:
        tried.release()
        poller.courier.outages.failed(Dependency.SETTLING, "EndpointConnectionError")
        raise SQS_ERRORS[0]

    poller.courier.keep = fail  # type: ignore[method-assign]  # SQS is away
    poller.start()
    for _ in range(2):
        assert tried.acquire(timeout=PATIENCE_S)
    assert poller.stop() is True
    assert health_file.read_text() == "sqs settling away for 0 s\n"


def test_the_sign_of_life_of_a_poller_that_lacks_nothing(poller: Running, health_file: Path) -> None:
    poller.rounds._tell_health()
    assert health_file.read_text() == "all is there\n"
