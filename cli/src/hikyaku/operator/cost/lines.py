"""How much of what a month of files takes, as the line really makes its calls."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from hikyaku.operator.cost.prices import Prices

GB = 1024**3
"""Bytes: AWS counts S3's storage and transfer so (Amazon S3 FAQs, billing)."""
HOURS = 730
"""Of a month, as AWS counts."""
LONG_POLL_S = 20
"""HIKYAKU_RECEIVE_WAIT: an idle poller makes one request in that time (poller/threads.py, `_receive`)."""
HEARTBEAT_S = 40
"""A third of HIKYAKU_VISIBILITY_TIMEOUT: how often a held message is extended."""
BYTES_PER_SECOND = 10_000_000
"""A modest pace for download, decryption and load: decides how often a large file's message is extended."""
MULTIPART_FROM, PART = 64 * 1024**2, 16 * 1024**2
"""Bytes: from where on `hikyaku send` uploads in parts, and how large they are."""
DATA_KEY_HOURS = 1
"""KmsDataKeyReusePeriodSeconds of the queue."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What is asked for. `size` in bytes of ciphertext; `kept_months` is how long a file lies in the bucket."""

    size: int
    per_month: float
    kept_months: float = 1
    pollers: int = 1
    keys: int = 1
    receipts: bool = True
    cloudtrail: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill."""

    name: str
    quantity: float
    unit: str
    usd: float
    note: str
    source: str
    in_design: bool
    """Whether the design document's own table has it; the others come on top."""


def lines(usage: Usage, prices: Prices, *, free: bool) -> Iterator[Line]:
    """The bill of a month.

    Args:
        usage: how many files of which size.
        prices: the price file.
        free: whether the account's monthly allowances are still to be had.
    """
    left = {name: price.free if free else 0 for name, price in prices.of.items()}
    for name, label, quantity, note, in_design in _quantities(usage):
        price = prices.of[name]
        gratis = min(quantity, left[name])
        left[name] -= gratis
        said = f"{note}; free: {price.free_note}" if gratis else note
        yield Line(label, quantity, price.unit, price.of(quantity - gratis), said, price.source, in_design)


def _quantities(usage: Usage) -> Iterator[tuple[str, str, float, str, bool]]:
    files, receipts = usage.per_month, usage.per_month if usage.receipts else 0
    gb = usage.size * files / GB
    uploads = files * puts(usage.size)
    yield "s3_storage", "S3 storage", gb * usage.kept_months, f"each file lies there for {usage.kept_months:g} months", True
    yield "s3_requests", "S3 requests", uploads + files, "PUT (in parts: each part and two more) and GET of each file", True
    yield "transfer_out", "Transfer to the host", gb, "S3 to the internet; into S3 is free", True
    yield "kms_key", "KMS key", usage.keys, "aws/stack.yaml has one; each yearly rotation counts as one more", True
    yield "kms_requests", "KMS requests", uploads + files + receipts, "one for each PUT and GET; fewer, for the bucket key", True
    yield "s3_requests", "S3 requests for receipts", receipts, "PUT of receipts/<key>.json", False
    yield "eventbridge", "EventBridge", files + receipts, "S3 tells EventBridge of every object, receipts too", False
    yield "sqs", "SQS polls", polls(usage), f"a long poll each {LONG_POLL_S} s, for each poller that runs", False
    yield "sqs", "SQS requests", files * (3 + beats(usage.size)), "send, receive, delete and extensions of each message", False
    yield "kms_requests", "KMS requests of SQS", min(2 * files, 2 * HOURS / DATA_KEY_HOURS), "a data key serves an hour", False
    if usage.cloudtrail:
        yield "cloudtrail", "CloudTrail", uploads + files + receipts, "EnableCloudTrail of the stack: each read and write", False


def puts(size: int) -> int:
    """Requests of an upload: one, or create, each part, and complete."""
    return 1 if size < MULTIPART_FROM else 2 + math.ceil(size / PART)


def polls(usage: Usage) -> float:
    """Requests that idle pollers make in a month."""
    return usage.pollers * HOURS * 3600 / LONG_POLL_S


def beats(size: int) -> int:
    """How often the message of a file of this size is extended while it is worked on."""
    return int(size / BYTES_PER_SECOND / HEARTBEAT_S)
