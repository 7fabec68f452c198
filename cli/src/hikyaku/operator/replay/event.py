"""The event that a replay sends."""

from hikyaku.operator.event import created
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
    return created(
        bucket,
        version.key,
        None if version.version_id == UNVERSIONED else version.version_id,
        size=version.size,
        etag=version.etag,
        sequencer=step.sequencer,
        time=step.event_time,
        reason=REASON,
    )
