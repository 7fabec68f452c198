"""`hikyaku metrics`: what ledger and queues know, for Prometheus' textfile collector."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from hikyaku.errors import UserError
from hikyaku.local.files import write_atomically
from hikyaku.operator import access, health
from hikyaku.operator.health import Depth
from hikyaku.operator.settings import OperatorSettings

NUMBERS = """
SELECT folder, sender, sum(missing_count) AS missing, sum(repeated_count) AS repeated
FROM hikyaku.sender_sequence
WHERE signed
GROUP BY folder, sender
ORDER BY folder, sender
"""
"""Signed ones only: who may upload could else make up senders, and with them time series without end."""
READABLE = 0o644
"""The collector is another user; the text holds no secret."""


@dataclass(frozen=True, slots=True)
class Known:
    """One look.

    Attributes:
        datasets: rows of `health.DATASETS`.
        numbers: rows of `NUMBERS`.
        queues: depth by queue.
    """

    datasets: list[dict[str, Any]]
    numbers: list[dict[str, Any]]
    queues: Mapping[str, Depth]


def metrics(
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File that is replaced in one step; standard output when not given.")
    ] = None,
) -> None:
    """Print metrics of ledger and queues in Prometheus' text format. Where something can't be asked, exit 1, and the file stays as it was.

    Example: hikyaku metrics --output /var/lib/node_exporter/hikyaku.prom
    """
    text = rendered(look(OperatorSettings.read("database_url", "queue_url", "dlq_url")))
    if output is None:
        typer.echo(text, nl=False)
    else:
        _write(output, text)


def look(settings: OperatorSettings) -> Known:
    """Ask the ledger and SQS.

    Raises:
        UserError: one of them can't be reached.
    """
    with access.ledger(settings.database_url) as connection:
        datasets = connection.execute(health.DATASETS).fetchall()
        numbers = connection.execute(NUMBERS).fetchall()
    queue, letters = health.queues(settings)
    return Known(datasets, numbers, {"ingest": queue, "dead_letter": letters})


def rendered(known: Known) -> str:
    """The text format, version 0.0.4, of https://prometheus.io/docs/instrumenting/exposition_formats/."""
    registry = CollectorRegistry()
    _numbers(registry, known.numbers)
    _datasets(registry, known.datasets)
    depth = Gauge("hikyaku_queue_messages", "Messages as SQS counts them: approximately.", ["queue", "state"], registry=registry)
    for queue, counts in known.queues.items():
        for state, count in asdict(counts).items():
            depth.labels(queue, state).set(count)
    looked = Gauge("hikyaku_looked_at_timestamp_seconds", "When ledger and queues were asked, as Unix time.", registry=registry)
    looked.set_to_current_time()
    return generate_latest(registry).decode()


def _numbers(registry: CollectorRegistry, rows: list[dict[str, Any]]) -> None:
    labels = ["dataset", "sender"]
    missing = Gauge("hikyaku_sequence_missing", "Numbers of a signed sender of which no file was opened.", labels, registry=registry)
    repeated = Gauge("hikyaku_sequence_repeated", "Numbers under which different content came.", labels, registry=registry)
    for row in rows:
        missing.labels(row["folder"], row["sender"]).set(row["missing"])
        repeated.labels(row["folder"], row["sender"]).set(row["repeated"])


def _datasets(registry: CollectorRegistry, rows: list[dict[str, Any]]) -> None:
    age = Gauge("hikyaku_last_load_age_seconds", "Since the last load; absent before the first.", ["dataset"], registry=registry)
    files = Gauge("hikyaku_files_24h", "Files of the last 24 hours.", ["dataset", "status"], registry=registry)
    failed = Gauge("hikyaku_files_failed", "Files that failed and are to be tried again.", ["dataset"], registry=registry)
    for row in rows:
        name = row["dataset"]
        if row["age"] is not None:
            age.labels(name).set(row["age"].total_seconds())
        files.labels(name, "loaded").set(row["loaded_24h"])
        files.labels(name, "rejected").set(row["rejected_24h"])
        failed.labels(name).set(row["failed"])


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text, READABLE)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "what is there is no text"
        raise UserError(f"{path} can't be written: {reason}", hint="Name a file in a folder that you may write to.") from None
