"""The event that a replay sends: EventBridge's `Object Created`, as S3's own (S3 User Guide, "EventBridge event message structure")."""

import datetime as dt
import json
import uuid

from hikyaku.operator.inventory.bucket import UNVERSIONED
from hikyaku.operator.replay.order import Step

REASON = "hikyaku replay"


def body(bucket: str, step: Step) -> str:
    """The SQS message's body.

    Args:
        bucket: the version's.
        step: with its event's time.
    """
    version = step.version
    obj = {"key": version.key, "size": version.size, "etag": version.etag}
    if version.version_id != UNVERSIONED:
        obj["version-id"] = version.version_id
    if step.sequencer:
        obj["sequencer"] = step.sequencer
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": step.event_time.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"),
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {"version": "0", "bucket": {"name": bucket}, "object": obj, "reason": REASON},
    }
    return json.dumps(event, ensure_ascii=False)
