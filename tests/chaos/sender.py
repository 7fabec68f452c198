"""Sends a run's files over its storm: ordinary PUTs that the bucket announces, and events of our own, doubled and in any order."""

import json
import random
import threading
import time
from dataclasses import dataclass, field

from chaos.files import File, body
from chaos.stack import Stack
from fakes.senders import metadata, stated


@dataclass
class Sent:
    """A file that is in S3.

    Attributes:
        file: what it is.
        version_id: of S3.
        announced: Unix time of its first event, 0 before.
    """

    file: File
    version_id: str
    etag: str
    size: int
    announced: float = 0.0


@dataclass
class Sender:
    """One thread puts and announces; nemeses ask it to repeat or to withhold events."""

    stack: Stack
    files: list[File]
    seed: int
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._s3, self._sqs = self.stack.client("s3"), self.stack.client("sqs")
        self._bucket, self._queue = self.stack.endpoints["HIKYAKU_BUCKET"], self.stack.endpoints["HIKYAKU_QUEUE_URL"]
        self._random = random.Random(f"{self.seed} sender")
        self._lock = threading.Lock()
        self._withheld: list[str] | None = None
        self._prepared: dict[int, Sent] = {}

    def prepare(self) -> None:
        """Put what the bucket shall not announce: while its notification configuration is taken away."""
        before = self._s3.get_bucket_notification_configuration(Bucket=self._bucket)
        before.pop("ResponseMetadata")
        self._s3.put_bucket_notification_configuration(Bucket=self._bucket, NotificationConfiguration={})
        for file in self.files:
            if not file.ordinary:
                self._prepared[file.number] = self._put(file)
        self._s3.put_bucket_notification_configuration(Bucket=self._bucket, NotificationConfiguration=before)

    def send(self, storm_s: float, stop: threading.Event) -> None:
        """Announce all files, evenly over the storm."""
        begin = time.monotonic()
        for nth, file in enumerate(self.files):
            stop.wait(max(0.0, begin + storm_s * nth / len(self.files) - time.monotonic()))
            self._send(file)

    def _send(self, file: File) -> None:
        if file.ordinary:
            now = time.time()
            sent = self._put(file)
            sent.announced = now
        else:
            sent = self._prepared[file.number]
            sent.announced = time.time()
            for _ in range(file.copies):
                self._announce(self._event(sent))
        with self._lock:
            self.sent.append(sent)

    def _put(self, file: File) -> Sent:
        data = body(file, self.stack.endpoints["HIKYAKU_RECIPIENT"])
        answer = self._s3.put_object(Bucket=self._bucket, Key=file.key, Body=data, Metadata=self._metadata(file, data))
        return Sent(file, answer["VersionId"], answer["ETag"].strip('"'), len(data))

    def _metadata(self, file: File, data: bytes) -> dict[str, str]:
        """The manifest of a part. It is not signed: nobody here is asked to."""
        if not file.group:
            return {}
        group = {"group": file.group, "part": file.part, "parts": file.parts}
        return metadata(stated(data, bucket=self._bucket, key=file.key, seq=file.number, **group))

    def _event(self, sent: Sent) -> str:
        obj = {
            "key": sent.file.key,
            "size": sent.size,
            "etag": sent.etag,
            "version-id": sent.version_id,
            "sequencer": sent.file.sequencer,
        }
        detail = {"bucket": {"name": self._bucket}, "object": obj}
        return json.dumps(
            {"version": "0", "source": "aws.s3", "detail-type": "Object Created", "time": sent.file.event_time, "detail": detail}
        )

    def _announce(self, event: str) -> None:
        with self._lock:
            if self._withheld is not None:
                self._withheld.append(event)
                return
        self._sqs.send_message(QueueUrl=self._queue, MessageBody=event)

    # What SQS may do on its own account

    def repeat(self, count: int) -> None:
        """Deliver events once more that were delivered before."""
        with self._lock:
            ours = [sent for sent in self.sent if not sent.file.ordinary]
            again = self._random.sample(ours, min(count, len(ours)))
        for sent in again:
            self._announce(self._event(sent))

    def withhold(self) -> None:
        """Deliver nothing for now."""
        with self._lock:
            self._withheld = []

    def release(self) -> None:
        """Deliver what was withheld, the last first."""
        with self._lock:
            events, self._withheld = self._withheld or [], None
        for event in reversed(events):
            self._announce(event)
