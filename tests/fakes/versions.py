"""S3's ListObjectVersions and the operator's SQS calls, as far as audit and replay use them: pages are made as they are asked for."""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

PAGE = 1000
"""Keys that S3 lists in a page at the most."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry; `size` None: a delete marker."""

    key: str
    version_id: str
    modified: dt.datetime
    size: int | None = 1
    is_latest: bool = False

    def entry(self) -> dict[str, Any]:
        common = {"Key": self.key, "VersionId": self.version_id, "LastModified": self.modified, "IsLatest": self.is_latest}
        return common if self.size is None else {**common, "ETag": f'"{self.version_id}-etag"', "Size": self.size}


class Bucket:
    """Lists what it is given, in the order in which it is given."""

    def __init__(self, listed: Iterable[Listed]) -> None:
        self._listed = listed

    def get_paginator(self, name: str) -> "Bucket":
        assert name == "list_object_versions"
        return self

    def paginate(self, **asked: str) -> Iterator[dict[str, Any]]:
        rest = (each for each in self._listed if each.key.startswith(asked["Prefix"]))
        while page := list(islice(rest, PAGE)):
            versions = [each.entry() for each in page if each.size is not None]
            markers = [each.entry() for each in page if each.size is None]
            yield {**({"Versions": versions} if versions else {}), **({"DeleteMarkers": markers} if markers else {})}


@dataclass
class DeadLetterQueue:
    """Hands out each message once until it is shown again."""

    bodies: list[str]
    counted: int | None = None
    hidden: set[int] = field(default_factory=set)

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        counted = len(self.bodies) if self.counted is None else self.counted
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
        return {"Attributes": dict(zip(names, (str(counted), "0", "0"), strict=True)) | {"QueueArn": "arn:x"}}

    def receive_message(self, **_: Any) -> dict[str, Any]:
        numbers = [number for number in range(len(self.bodies)) if number not in self.hidden][:10]
        self.hidden |= set(numbers)
        found = [{"MessageId": str(n), "ReceiptHandle": f"handle {n}", "Body": self.bodies[n]} for n in numbers]
        return {"Messages": found} if found else {}

    def change_message_visibility_batch(self, **asked: Any) -> dict[str, Any]:
        assert all(entry["VisibilityTimeout"] == 0 for entry in asked["Entries"])
        self.hidden -= {int(entry["ReceiptHandle"].removeprefix("handle ")) for entry in asked["Entries"]}
        return {}
