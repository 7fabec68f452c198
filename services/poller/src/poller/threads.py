"""Runs the courier's rounds in three threads until told to stop: receive, keep, and the Celery worker that settles."""

import random
import threading
import time
from collections.abc import Callable

from celery.worker import WorkController, state

from poller.app import Poller
from poller.sqs import SQS_ERRORS
from shared import health, protocol
from shared.logging import get_logger
from shared.settings import CommonSettings

KEEP_INTERVAL_S = 2.0
IDLE_CHECK_S = 1.0


class Rounds:
    """The poller's threads. A thread that dies of a bug takes the process with it: the supervisor starts a clean one."""

    def __init__(self, poller: Poller, settings: CommonSettings) -> None:
        self._poller = poller
        self._settings = settings
        self.stopping = threading.Event()
        """No more receiving."""
        self._ended = threading.Event()
        """No more keeping."""
        self._dead = threading.Event()
        self._receiver = self._thread("receive", self._receive)
        self._keeper = self._thread("keep", self._keep)
        self._settler = self._thread("settle", self._settle)

    def run(self, drain_timeout: float) -> bool:
        """Work until `stopping` is set or a thread dies, then drain and hand back. Returns whether all ended well."""
        for thread in (self._settler, self._keeper, self._receiver):
            thread.start()
        while not self.stopping.is_set() and not self._dead.is_set():
            self.stopping.wait(IDLE_CHECK_S)
        self._stop(drain_timeout)
        return not self._dead.is_set()

    def _stop(self, drain_timeout: float) -> None:
        courier = self._poller.courier
        self.stopping.set()
        courier.room.set()
        get_logger().info("stopping", action="stop", in_flight=len(courier.in_flight))
        # A long poll can't be cut off: a message handed to a closed connection would be lost for a visibility timeout.
        self._receiver.join()
        self._drain(drain_timeout)
        self._ended.set()
        courier.wake.set()
        self._keeper.join()
        try:
            courier.hand_back()
            courier.flush()
        except SQS_ERRORS as error:
            get_logger().warning("sqs_away", action="stop", reason=type(error).__name__)
        state.should_stop = 0  # type: ignore[assignment]  # celery.worker.state: an exit code, or None
        self._settler.join(timeout=5)

    def _drain(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while len(self._poller.courier.in_flight) and time.monotonic() < end and not self._dead.is_set():
            self._poller.courier.room.wait(IDLE_CHECK_S)
            self._poller.courier.room.clear()

    def _thread(self, name: str, target: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                target()
            except Exception:  # noqa: BLE001 - whatever it is: logged, and the process ends
                get_logger().exception("thread_died", action=name)
                self._dead.set()
            if not self.stopping.is_set():
                # Celery's worker returns from an unrecoverable error as if all were well.
                get_logger().error("thread_ended", action=name)
                self._dead.set()

        return threading.Thread(target=guarded, name=name, daemon=True)

    def _receive(self) -> None:
        courier, failures = self._poller.courier, 0
        while not self.stopping.is_set():
            if not courier.broker_up.wait(IDLE_CHECK_S):
                continue
            courier.room.clear()
            try:
                received = courier.receive()
            except SQS_ERRORS:
                failures += 1
                self._wait_out(self.stopping, failures)
                continue
            failures = 0
            if not received and (courier.is_full or courier.is_paused or courier.pause.is_on()):
                courier.room.wait(IDLE_CHECK_S)

    def _keep(self) -> None:
        courier, failures = self._poller.courier, 0
        while not self._ended.is_set():
            courier.wake.wait(KEEP_INTERVAL_S)
            courier.wake.clear()
            try:
                courier.keep()
                failures = 0
            except SQS_ERRORS:
                failures += 1
            # Also while something is away: a restart would mend nothing, and lose what is held.
            self._tell_health()
            if failures:
                self._wait_out(self._ended, failures)

    def _tell_health(self) -> None:
        """A sign of life, and for a person whether it is paused, and what is away."""
        courier = self._poller.courier
        told = "; ".join(filter(None, (courier.pause.status(), courier.outages.status())))
        if (path := self._settings.health_file) is not None:
            path.write_text(told + "\n", encoding="utf-8")
        health.touch(path)

    def _wait_out(self, end: threading.Event, failures: int) -> None:
        """A pause that grows, with jitter, cut short by the end."""
        end.wait(protocol.probe_pause(failures - 1, random.random()))  # noqa: S311 - jitter is no secret

    def _settle(self) -> None:
        """An unmanaged worker (no signal handlers, no pool): settling is a note in memory, done in the consumer's own loop."""
        # As Celery's own command does: else the errback of a task that fails here is sent by Celery's default app, to nowhere.
        self._poller.app.set_current()
        worker = WorkController(
            app=self._poller.app,
            hostname=f"poller@{self._settings.instance}",
            pool_cls="solo",
            concurrency=1,
            loglevel=self._settings.log_level,
            without_gossip=True,
            without_mingle=True,
        )
        worker.start()
