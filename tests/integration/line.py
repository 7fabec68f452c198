"""Drives the product from outside, by its contract only: S3, SQS, SQL and endpoints.env."""

import io
import json
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
import pyrage
from psycopg import sql
from psycopg.rows import dict_row
from redis import Redis

from hikyaku.demo.world import World
from hikyaku.endpoints import read_endpoints

POLL_S = 0.05
TIMEOUT_S = 90.0

T = TypeVar("T")


@dataclass(frozen=True)
class Put:
    """An object version that was put."""

    key: str
    version_id: str
    etag: str
    size: int


def gzipped(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=31)
    return compressor.compress(data) + compressor.flush()


def encrypt(data: bytes, recipient: str) -> bytes:
    out = io.BytesIO()
    pyrage.encrypt_io(io.BytesIO(data), out, [pyrage.x25519.Recipient.from_str(recipient)])
    return out.getvalue()


def eventually(look: Callable[[], T | None], *, what: str, timeout: float = TIMEOUT_S) -> T:
    """What `look` finds, as soon as it is truthy; waits on a condition, within a bound."""
    deadline = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(POLL_S)
    return found


class Line:
    """One running stack."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reconnect()

    def reconnect(self) -> None:
        self.endpoints = read_endpoints(self.folder / "endpoints.env")
        self.world = World(self.endpoints)
        self.s3, self.sqs, self.bucket = self.world.s3, self.world.sqs, self.world.bucket
        self.queue_url, self.dlq_url = self.endpoints["HIKYAKU_QUEUE_URL"], self.endpoints["HIKYAKU_DLQ_URL"]

    def pid(self, service: str) -> int:
        return int(read_endpoints(self.folder / "endpoints.env")[f"HIKYAKU_PID_{service.upper()}"])

    # Sending

    def seal(self, csv: bytes) -> bytes:
        return encrypt(gzipped(csv), self.world.recipient)

    def put(self, key: str, body: bytes) -> Put:
        answer = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return Put(key, answer["VersionId"], answer["ETag"].strip('"'), len(body))

    def send(self, dataset: str, csv: bytes, name: str | None = None) -> Put:
        return self.put(f"incoming/{dataset}/{name or uuid4().hex}.csv.gz.age", self.seal(csv))

    def announce(self, put: Put, *, sequencer: str = "00", time: str = "2026-11-24T00:00:00Z", queue_url: str | None = None) -> None:
        """Send the event that EventBridge would."""
        obj = {"key": put.key, "size": put.size, "etag": put.etag, "version-id": put.version_id, "sequencer": sequencer}
        event = {
            "version": "0",
            "source": "aws.s3",
            "detail-type": "Object Created",
            "time": time,
            "detail": {"bucket": {"name": self.bucket}, "object": obj},
        }
        self.sqs.send_message(QueueUrl=queue_url or self.queue_url, MessageBody=json.dumps(event))

    @contextmanager
    def silence(self) -> Iterator[None]:
        """No events while it lasts: the bucket's notification configuration is taken away and put back."""
        before = self.s3.get_bucket_notification_configuration(Bucket=self.bucket)
        before.pop("ResponseMetadata")
        self.s3.put_bucket_notification_configuration(Bucket=self.bucket, NotificationConfiguration={})
        try:
            yield
        finally:
            self.s3.put_bucket_notification_configuration(Bucket=self.bucket, NotificationConfiguration=before)

    # Looking

    def sql(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.endpoints["HIKYAKU_DATABASE_URL"], autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def table(self, columns: str, name: str | None = None) -> str:
        """Make a table and return its name, which is its dataset's too."""
        name = name or f"t_{uuid4().hex[:12]}"
        with psycopg.connect(self.endpoints["HIKYAKU_DATABASE_URL"], autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier("public", name), sql.SQL(columns)))
        return name

    def configure(self, toml: str) -> None:
        """Add an entry to datasets.toml (the services read it again within 5 s: `expect` waits by redelivery, so send after it took)."""
        path = self.world.datasets
        path.write_text(path.read_text(encoding="utf-8") + "\n" + toml, encoding="utf-8")

    def ledger(self, put: Put) -> dict[str, Any] | None:
        rows = self.sql("SELECT * FROM hikyaku.files WHERE (bucket, key, version_id) = (%s, %s, %s)", self.bucket, put.key, put.version_id)
        return rows[0] if rows else None

    def fate(self, put: Put, *statuses: str, timeout: float = TIMEOUT_S) -> dict[str, Any]:
        """The ledger row once it is one of `statuses` (any final one unless told)."""
        wanted = statuses or ("loaded", "duplicate", "superseded", "tested", "rejected")

        def look() -> dict[str, Any] | None:
            row = self.ledger(put)
            return row if row and row["status"] in wanted else None

        return eventually(look, what=f"{put.key} becomes {' or '.join(wanted)}, now {self.ledger(put)}", timeout=timeout)

    def messages(self, queue_url: str) -> int:
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
        answer = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(names))
        return sum(int(answer["Attributes"][name]) for name in names)

    def quiet(self, timeout: float = TIMEOUT_S) -> None:
        """Wait until nothing is in the ingest queue or in flight, and the spool is empty."""
        eventually(lambda: self.messages(self.queue_url) == 0, what="the ingest queue is empty", timeout=timeout)
        eventually(lambda: not self.spooled(), what="the spool is empty", timeout=timeout)

    def spooled(self) -> list[str]:
        return [path.name for path in (self.folder / "spool").iterdir()]

    def dead_letters(self) -> dict[str, str]:
        """error_code by object key of what is in the dead-letter queue."""
        found = {}
        for letter in self.world.dead_letters():
            found[json.loads(letter.body)["detail"]["object"]["key"]] = letter.error_code
        return found

    def purge_dead_letters(self) -> None:
        self.sqs.purge_queue(QueueUrl=self.dlq_url)

    def broker_holds_task(self) -> bool:
        """Whether a decrypt task is with a worker and not acknowledged yet."""
        with Redis.from_url(self.endpoints["HIKYAKU_REDIS_URL"]) as broker:
            return bool(broker.hlen("unacked.decrypt"))

    def wait_for_database(self) -> None:
        """Wait until PostgreSQL answers again."""

        def answers() -> bool:
            try:
                return bool(self.sql("SELECT 1"))
            except psycopg.OperationalError:
                return False

        eventually(answers, what="PostgreSQL answers")


Start = Callable[..., Line]
"""Starts a stack of its own, with HIKYAKU_* settings as keywords."""
