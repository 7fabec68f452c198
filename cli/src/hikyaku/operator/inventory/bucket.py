"""The bucket's versions, a key at a time, as S3 lists them: keys in the order of their UTF-8 bytes, each key's newest version first.

Amazon S3 API Reference, ListObjectVersions; User Guide, "Listing objects in a versioning-enabled bucket". No more than one page and one
key's versions are in memory.
"""

import datetime as dt
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from hikyaku.operator import access

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

INCOMING = "incoming/"
SUFFIXES = (".csv.gz.age", ".csv.gz.gpg")
UNVERSIONED = "null"
"""Version that S3 lists of an object that was put while the bucket had no versioning."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object. `size` in bytes; `modified` is S3's LastModified, which AWS cuts to the second."""

    key: str
    version_id: str
    etag: str
    size: int
    modified: dt.datetime

    @property
    def names(self) -> tuple[str, ...]:
        """What the ledger may call it: without versioning, the poller takes the ETag for the version."""
        return (f"etag:{self.etag}", UNVERSIONED) if self.version_id == UNVERSIONED else (self.version_id,)


@dataclass(frozen=True, slots=True)
class Marker:
    """A delete marker that is the latest of its key: the object is deleted, its versions are still there."""

    key: str
    version_id: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """All that the bucket has of one key, newest first."""

    key: str
    versions: tuple[Version, ...]
    marker: Marker | None = None


def is_ours(key: str) -> bool:
    """Whether the line carries such a key; the EventBridge rule and the poller go by the same prefix and suffixes."""
    return key.startswith(INCOMING) and key.endswith(SUFFIXES)


def shelves(s3: "S3Client", bucket: str, prefix: str) -> Iterator[Shelf]:
    """The keys below a prefix with their versions.

    Args:
        s3: client; botocore asks for URL-encoded keys and decodes them, so that every key can be listed.
        bucket: its name.
        prefix: of the keys.

    Raises:
        UserError: S3 says no, or can't be reached.
    """
    with access.told(f"the versions in s3://{bucket}/{prefix} can't be listed"):
        for key, entries in groupby(_entries(s3, bucket, prefix), key=lambda entry: entry.key):
            found = list(entries)
            versions = tuple(each for each in found if isinstance(each, Version))
            marker = next((each for each in found if isinstance(each, Marker)), None)
            yield Shelf(key, versions, marker)


def _entries(s3: "S3Client", bucket: str, prefix: str) -> Iterator[Version | Marker]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        # A page tells versions and markers apart, each in order; between pages the order goes on.
        found: list[Iterator[Version | Marker]] = [_versions(page.get("Versions", ())), _markers(page.get("DeleteMarkers", ()))]
        yield from heapq.merge(*found, key=rank)


def rank(entry: Version | Marker) -> bytes:
    """Where S3 lists a key."""
    return entry.key.encode()


def _versions(listed: Iterable[Any]) -> Iterator[Version | Marker]:
    for each in listed:
        yield Version(each["Key"], each["VersionId"], each["ETag"].strip('"'), each["Size"], each["LastModified"])


def _markers(listed: Iterable[Any]) -> Iterator[Version | Marker]:
    return (Marker(each["Key"], each["VersionId"]) for each in listed if each["IsLatest"])
