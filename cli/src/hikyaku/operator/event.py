"""The event of an object version once more: EventBridge's `Object Created`, as S3's own.

S3 User Guide, "EventBridge event message structure"; the poller reads it as it reads S3's.
"""

import datetime as dt
import json
import uuid


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
