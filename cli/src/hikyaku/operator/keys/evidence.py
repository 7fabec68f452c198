"""Who still needs an identity: by the ledger what it opened, by the bucket what it may have to open yet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

import psycopg

from hikyaku.operator import access

INCOMING = "incoming/"
SUFFIX = ".csv.gz.age"
MOST_NAMED = 10

USE = """
SELECT recipient_identity AS name, count(*) AS files, max(event_time) AS last
FROM hikyaku.files WHERE recipient_identity IS NOT NULL GROUP BY 1
"""
SENDERS = """
SELECT sender, name FROM (
    SELECT DISTINCT ON (1) coalesce(signer, sender, 'unsigned, ' || coalesce(dataset, '?')) AS sender, recipient_identity AS name
    FROM hikyaku.files WHERE recipient_identity IS NOT NULL ORDER BY 1, event_time DESC, received_at DESC
) AS last_of_each ORDER BY 1
"""
"""Of each sender, what its last file was opened by."""
RECENT = """
SELECT key FROM hikyaku.files WHERE recipient_identity = %(name)s AND event_time > %(since)s ORDER BY event_time DESC
"""
KNOWN = """
SELECT key, version_id, status, recipient_identity AS name FROM hikyaku.files
JOIN unnest(%(keys)s::text[], %(versions)s::text[]) AS asked (key, version_id) USING (key, version_id)
WHERE bucket = %(bucket)s
"""


@dataclass(frozen=True, slots=True)
class Use:
    """What an identity was used for, by the ledger."""

    files: int = 0
    last: datetime | None = None
    senders: tuple[str, ...] = ()
    """Whose last file it opened."""


@dataclass
class Stored:
    """Versions under incoming/ by what they need.

    Attributes:
        opened: by this identity: without it they can't be replayed.
        waiting: not in the ledger yet, or failed: they may need it.
        first: keys of some of those that wait.
    """

    opened: int = 0
    waiting: int = 0
    first: list[str] = field(default_factory=list)


def uses(connection: psycopg.Connection[Any]) -> dict[str, Use]:
    """By the identity's name."""
    senders = sorted(connection.execute(SENDERS).fetchall(), key=lambda row: row["name"])
    by_name = {name: tuple(row["sender"] for row in rows) for name, rows in groupby(senders, key=lambda row: row["name"])}
    return {row["name"]: Use(row["files"], row["last"], by_name.get(row["name"], ())) for row in connection.execute(USE)}


def recent(connection: psycopg.Connection[Any], name: str, since: datetime) -> list[str]:
    """Keys of files that it opened since then, newest first."""
    return [row["key"] for row in connection.execute(RECENT, {"name": name, "since": since})]


def stored(connection: psycopg.Connection[Any], s3: Any, bucket: str, name: str) -> Stored:
    """Look at every version under incoming/ and at its row in the ledger, a page at a time.

    Raises:
        UserError: the bucket can't be listed.
    """
    found = Stored()
    with access.told("the bucket's versions can't be listed"):
        for page in _pages(s3, bucket):
            _count(found, connection, bucket, name, page)
    return found


def _pages(s3: Any, bucket: str) -> Iterator[list[tuple[str, str]]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=INCOMING):
        yield [(each["Key"], each["VersionId"]) for each in page.get("Versions", []) if each["Key"].endswith(SUFFIX)]


def _count(found: Stored, connection: psycopg.Connection[Any], bucket: str, name: str, page: Sequence[tuple[str, str]]) -> None:
    asked = {"bucket": bucket, "keys": [key for key, _ in page], "versions": [version for _, version in page]}
    known = {(row["key"], row["version_id"]): row for row in connection.execute(KNOWN, asked)}
    for version in page:
        row = known.get(version)
        if row is None or row["status"] == "failed":
            found.waiting += 1
            if len(found.first) < MOST_NAMED:
                found.first.append(version[0])
        elif row["name"] == name:
            found.opened += 1
