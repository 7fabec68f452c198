"""What the poller tells Prometheus. Every file's fate passes here, so this one endpoint tells of the whole line.

All metrics are declared here, and docs/operations.md lists them. No label holds what a sender chooses: a dataset comes from the
object's key, so anybody who may send could make as many series as he likes.
"""

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from poller.held import Held, Told
from poller.outages import Outages
from poller.settings import PollerSettings
from shared import protocol
from shared.contract import FileRef, Settlement, Verdict
from shared.errors import ErrorCode
from shared.protocol import FileStatus, Telling
from shared.settings import fail

BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600)
"""From a small file on an idle line to one that waited out an outage."""
OTHER = "other"
"""What a newer loader says and this poller does not know."""
TOLD = {
    Telling.DELETE: "delete",
    Telling.DEAD_LETTER: "dead_letter",
    Telling.BACK: "back",
    Telling.BACK_NOW: "back_now",
    Telling.FORGET: "nothing",
}
"""Label values: the protocol's own texts are for people."""


@dataclass(slots=True)
class _Noted:
    """A held message, as far as the metrics need it."""

    since: float
    files: dict[str, FileRef]
    """Those that still have no final fate."""
    held: Held | None = None
    """Once it was submitted."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is held at one moment."""

    messages: int
    bytes_under_way: int
    oldest_s: float


class Metrics:
    """Counts what the courier tells. Thread-safe; each call returns at once, and a scrape holds nobody up for longer than that.

    Args:
        clock: seconds, monotonic.
        held_ids: ids of the messages that are held now.
        outages: of the dependencies.
        is_paused: whether an operator paused it.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        held_ids: Callable[[], Iterable[str]],
        outages: Outages,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._clock = clock
        self._held_ids = held_ids
        self._noted: dict[str, _Noted] = {}
        self._lock = threading.Lock()
        self.registry = CollectorRegistry(auto_describe=False)
        self._received = Counter("hikyaku_messages_received", "Messages received from SQS, repeats included.", registry=self.registry)
        self._let_go = Counter("hikyaku_messages_let_go", "Messages let go, by what SQS is told.", ["told"], registry=self.registry)
        self._settled = Counter(
            "hikyaku_files_settled", "Files of held messages that have their final fate.", ["status", "error_code"], registry=self.registry
        )
        self._failures = Counter(
            "hikyaku_file_failures", "Tries of files that failed and are repeated.", ["error_code"], registry=self.registry
        )
        self._tidied = Counter(
            "hikyaku_objects_tidied",
            "Objects that were to be tagged or deleted in S3, by why that was given up.",
            ["error_code"],
            registry=self.registry,
        )
        self._receipts = Counter(
            "hikyaku_receipts", "Receipts that were to be put in S3, by why that was given up.", ["error_code"], registry=self.registry
        )
        self._duration = Histogram(
            "hikyaku_event_to_settled_seconds",
            "From the event's time to the file's final fate, by this host's clock.",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        for told in TOLD.values():
            # A counter that appears with its first 1 is no increase for Prometheus: the first dead letter would wake nobody.
            self._let_go.labels(told)
        for status in FileStatus:
            if protocol.verdict(status) is Verdict.DONE:
                self._settled.labels(status, "")
        for code in ("", ErrorCode.TIDY_REFUSED):
            self._tidied.labels(code)
        for code in ("", ErrorCode.RECEIPT_REFUSED):
            self._receipts.labels(code)
        self.registry.register(_Snapshot(self.load, outages, is_paused))
        ProcessCollector(registry=self.registry)

    def received(self, messages: int) -> None:
        """SQS handed out so many messages."""
        self._received.inc(messages)

    def held(self, message_id: str, files: Iterable[FileRef]) -> None:
        """A message is about to be held. May come again for a message that is."""
        with self._lock:
            self._noted.setdefault(message_id, _Noted(self._clock(), {file.file_id: file for file in files}))

    def submitted(self, group: Iterable[Held]) -> None:
        """These messages' files are under way."""
        with self._lock:
            for held in group:
                if noted := self._noted.get(held.message.message_id):
                    noted.held = held

    def settled(self, settlement: Settlement) -> None:
        """What became of a file. A fate that is told again, by a chain that was repeated, is counted once."""
        code = _known(settlement.error_code, ErrorCode) if settlement.error_code else ""
        if settlement.verdict is Verdict.RETRY:
            self._failures.labels(code).inc()
            return
        with self._lock:
            noted = self._noted.get(settlement.message_id)
            file = noted.files.pop(settlement.file_id, None) if noted else None
            now = self._clock()
        if noted and file:
            self._settled.labels(_known(settlement.status, FileStatus), code).inc()
            self._duration.observe(max(_seconds_before_receive(file) + now - noted.since, 0.0))

    def tidied(self, told: Told) -> None:
        """S3 was told of a file, or that was given up."""
        for counter, code in ((self._tidied, told.object), (self._receipts, told.receipt)):
            if code is not None:
                counter.labels(_known(code, ErrorCode) if code else "").inc()

    def let_go(self, message_id: str, telling: Telling) -> None:
        """A message is held no longer."""
        with self._lock:
            self._noted.pop(message_id, None)
        self._let_go.labels(TOLD[telling]).inc()

    def load(self) -> Load:
        """What is held now."""
        held_ids = set(self._held_ids())
        with self._lock:
            present = [noted for message_id, noted in self._noted.items() if message_id in held_ids]
        return Load(
            messages=len(held_ids),
            bytes_under_way=sum(noted.held.size for noted in present if noted.held and noted.held.under_way),
            oldest_s=max((self._clock() - noted.since for noted in present), default=0.0),
        )


class _Snapshot:
    """Reads, at each scrape, what is no count of ours."""

    def __init__(self, load: Callable[[], Load], outages: Outages, is_paused: Callable[[], bool]) -> None:
        self._load = load
        self._is_paused = is_paused
        self._outages = outages

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment (prometheus_client, *Custom Collectors*)."""
        load = self._load()
        yield GaugeMetricFamily("hikyaku_held_messages", "Messages that the poller holds.", load.messages)
        yield GaugeMetricFamily("hikyaku_under_way_bytes", "Ciphertext bytes of messages whose chain is under way.", load.bytes_under_way)
        yield GaugeMetricFamily("hikyaku_oldest_held_seconds", "Age of the message that is held longest; 0: none.", load.oldest_s)
        yield GaugeMetricFamily("hikyaku_paused", "1 while an operator has it paused: nothing new is received.", self._is_paused())
        away = GaugeMetricFamily("hikyaku_dependency_away", "1 while a dependency is away.", labels=["dependency"])
        outages = CounterMetricFamily("hikyaku_dependency_outages", "Outages that began.", labels=["dependency"])
        seconds = CounterMetricFamily("hikyaku_dependency_away_seconds", "Time away, the present outage included.", labels=["dependency"])
        for dependency, record in self._outages.records().items():
            away.add_metric([dependency], record.is_away)
            outages.add_metric([dependency], record.outages)
            seconds.add_metric([dependency], record.away_s)
        yield from (away, outages, seconds)


def _known(word: str, vocabulary: Iterable[str]) -> str:
    return str(word) if word in set(vocabulary) else OTHER


def _seconds_before_receive(file: FileRef) -> float:
    return (dt.datetime.fromisoformat(file.received_at) - dt.datetime.fromisoformat(file.event_time)).total_seconds()


@contextmanager
def serving(metrics: Metrics, settings: PollerSettings) -> Iterator[None]:
    """Answer scrapes meanwhile, if a port is set. Ends the process with 2 if that address can't be listened on."""
    if settings.metrics_port is None:
        yield
        return
    # A series for each series, of which no question is asked: process_start_time_seconds says the same.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # of prometheus_client's
    try:
        server, thread = start_http_server(settings.metrics_port, settings.metrics_address, metrics.registry)
    except OSError as error:
        where = f"{settings.metrics_address}, port {settings.metrics_port}"
        fail([f"HIKYAKU_METRICS_PORT: metrics can't be served on {where}: {error.strerror}; choose another port, or unset it"])
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
