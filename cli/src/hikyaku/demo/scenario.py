"""The demo's story: two months of office codes, the full list, a file sent twice, a tampered file."""

import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rich.progress import Progress

from hikyaku import waiting
from hikyaku.demo.datasets import ensure_datasets
from hikyaku.demo.world import Fate, Letter, World
from hikyaku.errors import UserError
from hikyaku.sending import sealer
from hikyaku.sending.courier import Courier
from hikyaku.sending.destination import Destination
from hikyaku.sending.upload import S3Upload

SETTLE_TIMEOUT_S = 90.0
LOOK_S = 5
"""So long a dead letter that was looked at stays out of sight, and lets the next ones be seen."""
TABLES = ("offices", "postal_codes")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Story:
    """What came of it."""

    fates: list[Fate]
    counts: dict[str, int]
    letter: Letter
    """The rejected file's, in the dead-letter queue."""


def prepare(world: World, demo: Path) -> None:
    """Make the two tables, and add the two datasets to the stack's datasets.toml unless they are there.

    Raises:
        UserError: they are not there and can't be added.
    """
    world.database.execute((demo / "tables.sql").read_bytes())
    ensure_datasets(world.datasets, demo / "datasets.toml")


def play(world: World, demo: Path, progress: Progress, tell: Callable[[str], None]) -> Story:
    """Send the files one after the other and wait for each one's fate.

    Raises:
        UserError: a file had no fate within the time.
    """
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder)
        march, april, everything = (
            _unpack(demo / "data" / f"{name}.zip", unpacked)
            for name in ("jigyosyo-2026-03-01", "jigyosyo-2026-04-03", "ken_all-2026-04-03")
        )
        tell("Two months of office codes: an upsert, CP932, no header, some codes twice in one file")
        fates = [_carry(world, file, "offices", progress) for file in (march, april)]
        tell("Every postal code of Japan: replaces the table")
        fates.append(_carry(world, everything, "postal_codes", progress))
        tell("April's file once more: the same content is not loaded twice")
        fates.append(_carry(world, april, "offices", progress))
        tell("April's file, one bit of the ciphertext flipped on the way: rejected, and nothing of it reaches the table")
        fates.append(_tamper(world, f"incoming/offices/{april.stem}.csv.gz.age"))
    rejected = fates[-1].version_id
    letter = _wait_for(world, "The rejected file's arrival in the dead-letter queue", lambda: _dead_letter(world, rejected))
    return Story(fates, {table: world.count(table) for table in TABLES}, letter)


def _unpack(archive: Path, folder: Path) -> Path:
    target = folder / f"{archive.stem}.csv"
    with zipfile.ZipFile(archive) as packed:
        target.write_bytes(packed.read(packed.namelist()[0]))
    return target


def _carry(world: World, file: Path, dataset: str, progress: Progress) -> Fate:
    to = Destination(world.bucket, f"incoming/{dataset}/")
    sent = Courier(S3Upload(world.s3), to, sealer.age([world.recipient], []), progress).send(file)
    return _await(world, sent.key)


def _tamper(world: World, key: str) -> Fate:
    """Put a copy of an object with one bit flipped, as a new version under another key."""
    body = bytearray(world.s3.get_object(Bucket=world.bucket, Key=key)["Body"].read())
    body[len(body) // 2] ^= 1
    tampered = key.replace(".csv.gz.age", "-tampered.csv.gz.age")
    world.s3.put_object(Bucket=world.bucket, Key=tampered, Body=bytes(body))
    return _await(world, tampered)


def _await(world: World, key: str) -> Fate:
    version = world.s3.head_object(Bucket=world.bucket, Key=key).get("VersionId", "null")
    return _wait_for(world, f"The fate of {key}", lambda: _final(world.fate(key, version)))


def _wait_for(world: World, what: str, look: Callable[[], T | None]) -> T:
    late = UserError(f"{what} did not happen within {SETTLE_TIMEOUT_S:.0f} s.", hint=world.logs)
    return waiting.until(look, SETTLE_TIMEOUT_S, late)


def _final(fate: Fate | None) -> Fate | None:
    return None if fate is None or fate.status == "failed" else fate


def _dead_letter(world: World, version_id: str) -> Letter | None:
    # The queue may hold letters of earlier plays, and of other files.
    return next((letter for letter in world.dead_letters(LOOK_S) if version_id in letter.body), None)
