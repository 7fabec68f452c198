"""The events of object versions: read as EventBridge's `Object Created` or S3's own, and made once more as EventBridge's.

S3 User Guide, "EventBridge event message structure"; the poller reads it as it reads S3's.
"""

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus


def created(bucket: str, key: str, version_id: str | None, *, size: int, etag: str, sequencer: str, time: dt.datetime, reason: str) -> str:
    """The SQS message's body.

    Args:
        bucket: the version's.
        key: the version's.
        version_id: None in a bucket without versioning.
        size: bytes of the object.
        etag: without quotes.
        sequencer: "" where nobody knows it.
        time: of the event.
        reason: who sends it.
    """
    obj = {"key": key, "size": size, "etag": etag}
    if version_id is not None:
        obj["version-id"] = version_id
    if sequencer:
        obj["sequencer"] = sequencer
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": time.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"),
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {"version": "0", "bucket": {"name": bucket}, "object": obj, "reason": reason},
    }
    return json.dumps(event, ensure_ascii=False)


def announced(body: str) -> list[tuple[str, str]]:
    """Key and version of each object that a message's body tells of; none where it is no event of S3's.

    In a bucket without versioning the version is `etag:<etag>`.
    """
    try:
        return list(_told(json.loads(body)))
    except (ValueError, RecursionError):
        return []


def _told(event: Any) -> Iterator[tuple[str, str]]:
    match event:
        case {"detail": {"object": {"key": str(key), **details}}}:
            yield key, _version(details.get("version-id"), details.get("etag"))
        case {"Records": [*records]}:
            for record in records:
                match record:
                    case {"s3": {"object": {"key": str(key), **details}}}:
                        yield unquote_plus(key), _version(details.get("versionId"), details.get("eTag"))


def _version(version_id: Any, etag: Any) -> str:
    return str(version_id) if version_id else f"etag:{etag or ''}"
