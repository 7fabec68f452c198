"""Which object versions make a table what it is, and in which order they came."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from hikyaku.operator.inventory import bucket
from shared import keys
from shared.contract import FileRef
from shared.datasets import Datasets
from shared.errors import Rejected

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

LEDGER = """
SELECT key, version_id, status, sequencer, event_time, coalesce(loaded_at, updated_at) AS at
FROM hikyaku.files
WHERE bucket = %(bucket)s AND dataset = %(dataset)s AND NOT dry_run
"""
REPLAYED = frozenset({"loaded", "duplicate", "superseded", "staged"})
"""What the ledger says of files that did, or might have done, something to the table. A rejected one never did."""
MESSAGE_ID = "rebuild"

Row = dict[str, Any]
Ledger = Mapping[tuple[str, str], Row]
"""By key and version."""


@dataclass(frozen=True, slots=True)
class Version:
    """One object version of the dataset.

    Attributes:
        file: as its event would announce it.
        at: when the table got it; when S3 did, where the ledger does not know it.
        is_known: to the ledger.
    """

    file: FileRef
    at: dt.datetime
    is_known: bool


@dataclass(frozen=True, slots=True)
class History:
    """What can be replayed, in the order in which the table got it, and what can't.

    Attributes:
        versions: oldest first.
        gone: keys that the ledger has as loaded and the bucket has no more.
    """

    versions: tuple[Version, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose history.

    Attributes:
        bucket: the line's.
        datasets: tell which keys are the dataset's.
        name: of the dataset.
        as_of: leave out what the table got later.
    """

    bucket: str
    datasets: Datasets
    name: str
    as_of: dt.datetime | None = None


def read(s3: "S3Client", connection: psycopg.Connection[Row], scope: Scope) -> History:
    """Look at the bucket and at the ledger.

    Args:
        s3: the bucket is listed with it.
        connection: to the ledger; its rows are dictionaries.
        scope: whose history.

    Raises:
        UserError: the bucket can't be listed.
    """
    rows = connection.execute(LEDGER, {"bucket": scope.bucket, "dataset": scope.name}).fetchall()
    ledger: Ledger = {(row["key"], row["version_id"]): row for row in rows}
    stored = {(version.file.key, version.file.version_id): version for version in _stored(s3, scope, ledger)}
    wanted = [version for identity, version in stored.items() if _is_wanted(version, ledger.get(identity), scope.as_of)]
    gone = {key for (key, version_id), row in ledger.items() if _is_gone(row, scope.as_of) and (key, version_id) not in stored}
    return History(tuple(sorted(wanted, key=_place)), tuple(sorted(gone)))


def _place(version: Version) -> tuple[dt.datetime, str, str]:
    return version.at, version.file.key, version.file.sequencer


def _is_wanted(version: Version, row: Row | None, as_of: dt.datetime | None) -> bool:
    return (row is None or row["status"] in REPLAYED) and (as_of is None or version.at <= as_of)


def _is_gone(row: Row, as_of: dt.datetime | None) -> bool:
    return bool(row["status"] == "loaded" and (as_of is None or row["at"] <= as_of))


def _stored(s3: "S3Client", scope: Scope, ledger: Ledger) -> Iterator[Version]:
    for shelf in bucket.shelves(s3, scope.bucket, bucket.INCOMING):
        if _belongs(scope.datasets, shelf.key, scope.name):
            yield from (_version(scope.bucket, stored, ledger) for stored in shelf.versions)


def _belongs(datasets: Datasets, key: str, name: str) -> bool:
    try:
        return not keys.route(key).dry_run and datasets.of(key).name == name
    except Rejected:
        return False


def _version(name: str, stored: bucket.Version, ledger: Ledger) -> Version:
    version_id = stored.names[0]
    row = ledger.get((stored.key, version_id))
    event_time = row["event_time"] if row else stored.modified
    file = FileRef(
        bucket=name,
        key=stored.key,
        version_id=version_id,
        etag=stored.etag,
        size=stored.size,
        sequencer=row["sequencer"] if row else "",
        event_time=event_time.isoformat(),
        received_at=dt.datetime.now(dt.UTC).isoformat(),
        message_id=MESSAGE_ID,
    )
    return Version(file, row["at"] if row else stored.modified, row is not None)
