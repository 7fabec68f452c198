"""What can be known of the line from outside: the queues' counts, the ledger, the poller's metrics."""

import datetime as dt
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from hikyaku.operator import access, pausing, workers
from hikyaku.operator.settings import OperatorSettings
from hikyaku.operator.workers import Workers

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

DATASETS = """
SELECT
    f.dataset,
    (array_agg(f.key ORDER BY f.loaded_at DESC NULLS LAST))[1] AS last_key,
    max(f.loaded_at) AS last_loaded_at,
    clock_timestamp() - max(f.loaded_at) AS age,
    w.value AS watermark,
    count(*) FILTER (WHERE f.status = 'loaded' AND f.loaded_at > clock_timestamp() - interval '24 hours') AS loaded_24h,
    count(*) FILTER (WHERE f.status = 'rejected' AND f.updated_at > clock_timestamp() - interval '24 hours') AS rejected_24h,
    count(*) FILTER (WHERE f.status = 'failed') AS failed,
    (SELECT count(*) FROM hikyaku.groups AS g WHERE g.dataset = f.dataset AND g.status = 'open') AS groups_waiting
FROM hikyaku.files AS f
LEFT JOIN hikyaku.watermarks AS w ON w.dataset = f.dataset
WHERE f.dataset IS NOT NULL AND NOT f.dry_run
GROUP BY f.dataset, w.value
ORDER BY f.dataset
"""
METRICS_URL = "HIKYAKU_METRICS_URL"
LARGEST_ANSWER = 4 * 1024 * 1024
TIMEOUT_S = 3


@dataclass(frozen=True, slots=True)
class Depth:
    """Messages of a queue, as SQS counts them: approximately."""

    visible: int
    in_flight: int
    delayed: int


@dataclass(frozen=True, slots=True)
class Poller:
    """What the poller's metrics say; `unknown` says why not."""

    unknown: str = ""
    held: int = 0
    oldest_s: float = 0.0
    away: tuple[str, ...] = ()
    paused: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """One look."""

    at: dt.datetime
    queue: Depth
    dead_letters: Depth
    datasets: list[dict[str, Any]]
    poller: Poller
    workers: Workers
    paused: str = ""
    """By whom, since when and why; "" while nothing is, or nobody knows."""

    def troubles(self) -> list[str]:
        """What needs a person, a sentence each."""
        return list(self._troubles())

    def needs_a_person(self) -> bool:
        """Whether there is any."""
        return bool(self.troubles())

    def _troubles(self) -> Iterator[str]:
        if letters := self.dead_letters.visible + self.dead_letters.in_flight:
            yield f"{letters} in the dead-letter queue (hikyaku dlq list)"
        if failed := sum(row["failed"] for row in self.datasets):
            yield f"{failed} failed, to be tried again (hikyaku errors)"
        for name in self.poller.away:
            yield f"{name} is away"
        if self.paused:
            yield f"paused {self.paused} (hikyaku resume)"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        datasets = [{**row, "age": row["age"].total_seconds() if row["age"] is not None else None} for row in self.datasets]
        return {**asdict(self), "datasets": datasets, "troubles": self.troubles()}


def look(settings: OperatorSettings) -> State:
    """Ask all that can be asked.

    Raises:
        UserError: the ledger or SQS can't be reached.
    """
    with access.ledger(settings.database_url) as connection:
        datasets = connection.execute(DATASETS).fetchall()
    queue, letters = queues(settings)
    asked = poller(os.environ.get(METRICS_URL, ""))
    return State(
        dt.datetime.now(dt.UTC), queue, letters, datasets, asked, workers.ask(settings.redis_url), _paused(settings.pause_file, asked)
    )


def queues(settings: OperatorSettings) -> tuple[Depth, Depth]:
    """Depths of the ingest queue and of its dead-letter queue.

    Raises:
        UserError: SQS can't be reached, or refuses.
    """
    with access.told("the queues can't be looked at"):
        client = access.sqs()
        return _depth(client, settings.queue_url), _depth(client, settings.dlq_url)


def _paused(path: str, asked: Poller) -> str:
    said = pausing.read(Path(path)) if path else None
    if said is not None:
        return pausing.shown(said)
    return "by somebody, says the poller" if asked.paused else ""


def _depth(client: "SQSClient", url: str) -> Depth:
    answer = client.get_queue_attributes(
        QueueUrl=url,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"],
    )["Attributes"]
    return Depth(
        int(answer["ApproximateNumberOfMessages"]),
        int(answer["ApproximateNumberOfMessagesNotVisible"]),
        int(answer["ApproximateNumberOfMessagesDelayed"]),
    )


def poller(url: str) -> Poller:
    """What the poller's metrics say.

    Args:
        url: of its metrics (`HIKYAKU_METRICS_PORT` of the poller); "" when they are not served.
    """
    if not url:
        return Poller(unknown=f"{METRICS_URL} is not set")
    if not url.startswith(("http://", "https://")):
        return Poller(unknown=f"{METRICS_URL} is no http:// URL")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - http or https, seen above
            text = answer.read(LARGEST_ANSWER).decode()
        return _told(text)
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return Poller(unknown=f"{url} does not answer: {reason}")


def _told(text: str) -> Poller:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    values = {sample.name: sample.value for sample in samples if not sample.labels}
    away = [sample.labels["dependency"] for sample in samples if sample.name == "hikyaku_dependency_away" and sample.value]
    return Poller(
        held=int(values.get("hikyaku_held_messages", 0)),
        oldest_s=values.get("hikyaku_oldest_held_seconds", 0.0),
        away=tuple(sorted(away)),
        paused=bool(values.get("hikyaku_paused", 0)),
    )
