"""What the poller's neighbours look like in tests: events that S3 sends, a pipeline that only notes, a broker that answers SET NX."""

import json
from itertools import count
from typing import Any
from urllib.parse import quote_plus

from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from poller.held import Held
from poller.sqs import Message
from shared.contract import Chore, FileRef, Problem, Receipt, SettledParcel, Settlement, Tidied, Verdict
from shared.errors import ErrorCode

BUCKET = "hikyaku-test"
KEY = "incoming/orders/a.csv.gz.age"


def eventbridge(key: str = KEY, *, version: str | None = "v1", size: int = 10, bucket: str = BUCKET) -> dict[str, Any]:
    """An `Object Created` event as EventBridge sends it to SQS (S3 User Guide, EventBridge event message structure)."""
    obj: dict[str, Any] = {"key": key, "size": size, "etag": "b1946ac92492d2347c6235b4d2611184", "sequencer": "00617F08299329D189"}
    if version is not None:
        obj["version-id"] = version
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-11-12T00:00:00Z",
        "region": "ap-northeast-1",
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": obj,
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject",
        },
    }


def native_record(key: str = KEY, *, version: str | None = "v1", name: str = "ObjectCreated:Put", bucket: str = BUCKET) -> dict[str, Any]:
    """One record of a native S3 notification (S3 User Guide, event message structure); `key` as it is, encoded here."""
    obj: dict[str, Any] = {"key": quote_plus(key, safe="/"), "size": 10, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0A1B2C"}
    if version is not None:
        obj["versionId"] = version
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-11-12T00:00:00.000Z",
        "eventName": name,
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": obj},
    }


def native(*records: dict[str, Any]) -> dict[str, Any]:
    """A native S3 notification of these records."""
    return {"Records": list(records)}


def body(event: object) -> str:
    """The event as the body of an SQS message."""
    return json.dumps(event)


def message(message_id: str = "m1", *, receive_count: int = 1, handle: str | None = None) -> Message:
    """A received message."""
    return Message(message_id, handle or f"{message_id}-handle", "{}", receive_count)


def file_ref(message_id: str = "m1", *, key: str = KEY, version: str = "v1", size: int = 10) -> FileRef:
    """A file that a message announced."""
    return FileRef(
        bucket=BUCKET, key=key, version_id=version, size=size, event_time="2026-11-12T00:00:00Z", received_at="now", message_id=message_id
    )


def held(message_id: str, *sizes: int, receive_count: int = 1, retries: int = 0) -> Held:
    """A message in flight that announced files of these sizes."""
    files = tuple(file_ref(message_id, version=f"{message_id}-{n}", size=size) for n, size in enumerate(sizes or (10,)))
    return Held(message(message_id, receive_count=receive_count), files, received=0.0, retries=retries)


def settlement(file: FileRef, verdict: Verdict = Verdict.DONE, after_load: str | None = None) -> Settlement:
    """A file's fate, and what its dataset wants done with its object."""
    status = {Verdict.DONE: "loaded", Verdict.REJECTED: "rejected", Verdict.RETRY: "failed"}[verdict]
    code = {Verdict.DONE: None, Verdict.REJECTED: ErrorCode.GZIP_INVALID, Verdict.RETRY: ErrorCode.DATABASE_UNAVAILABLE}[verdict]
    return Settlement(
        message_id=file.message_id,
        file_id=file.file_id,
        verdict=verdict,
        status=status,
        error_code=code,
        error=None if code is None else "what happened",
        after_load=after_load,
    )


def receipt(file: FileRef, status: str = "loaded", committed: int = 0) -> Receipt:
    """What the loader hands on for its sender, committed so many seconds after midnight."""
    return Receipt(
        bucket=file.bucket,
        key=file.key,
        version_id=file.version_id,
        size=file.size,
        status=status,
        file_id=file.file_id,
        sequencer=file.sequencer,
        event_time=file.event_time,
        received_at=file.event_time,
        committed_at=f"2026-11-12T00:00:{committed:02}.000000Z",
    )


def settled(files: tuple[FileRef, ...], verdict: Verdict = Verdict.DONE, after_load: str | None = None) -> SettledParcel:
    """What the loader would report of these files."""
    return SettledParcel(parcel_id="", settlements=tuple(settlement(file, verdict, after_load) for file in files))


def tidied(parcel_id: str, files: tuple[FileRef, ...], problem: Problem | None = None) -> SettledParcel:
    """What the decryptor would report of these files' objects."""
    done = tuple(Tidied(message_id=file.message_id, file_id=file.file_id, problem=problem) for file in files)
    return SettledParcel(parcel_id=parcel_id, settlements=(), tidied=done)


def problem(code: ErrorCode = ErrorCode.GZIP_INVALID, *, retry: bool = False) -> Problem:
    """A travelling failure."""
    return Problem(error_code=code, message="what happened", retry=retry)


class FakePipeline:
    """Notes what is submitted; while `away`, refuses as Celery does when Redis is gone."""

    def __init__(self) -> None:
        self.away = False
        self.parcels: list[tuple[FileRef, ...]] = []
        self.chores: list[tuple[str, tuple[Chore, ...]]] = []
        """What is to be tagged or deleted, by parcel id."""
        self.chain_of: dict[str, str] = {}
        """Newest parcel id by message id."""
        self.refused = 0
        self._numbers = count(1)

    @property
    def files(self) -> list[FileRef]:
        """Every file submitted, in order, repeats included."""
        return [file for parcel in self.parcels for file in parcel]

    def submit(self, group: list[Held]) -> str:
        """Take one parcel, and name it in each of its messages; nothing unsettled is no parcel."""
        chores = tuple(chore for each in group for chore in each.chores)
        files = tuple(chore.file for chore in chores) or tuple(file for each in group for file in each.unsettled)
        if not files:
            return ""
        parcel_id = f"parcel-{next(self._numbers)}"
        for each in group:
            each.parcel_id = parcel_id
        if self.away:
            self.refused += 1
            raise OperationalError("Error 111 connecting to redis. Connection refused.")
        if chores:
            self.chores.append((parcel_id, chores))
        else:
            self.parcels.append(files)
        self.chain_of |= dict.fromkeys((file.message_id for file in files), parcel_id)
        return parcel_id


class FakeBroker:
    """A Redis that knows `SET key value NX`, can go away, and can lose its memory."""

    def __init__(self) -> None:
        self.away = False
        self.memory: dict[str, str] = {}

    def set(self, name: str, value: str, *, nx: bool) -> bool | None:
        """True when the key was new, None when it was there, as redis-py answers."""
        if self.away:
            raise RedisConnectionError("Error 111 connecting to redis. Connection refused.")
        if nx and name in self.memory:
            return None
        self.memory[name] = value
        return True
