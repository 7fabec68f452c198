"""The files of a run, all of them made from its seed: versions of the same keys, equal contents, and files that must be rejected."""

import io
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pyrage
from pyrage import x25519

COLUMNS = "id bigint, file text, version int, body text"
IDS_PER_KEY = 1_000_000
FIRST_EVENT = datetime(2026, 1, 1, tzinfo=UTC)
WRONG_GROUPS = 0.2
"""Of all groups, those with a part that is wrong."""
LARGE_SHARE, LARGE_MOST = 0.03, 25
LARGE_ROWS = 18_000
"""About 2 MB."""


class Mode(StrEnum):
    """How a dataset's files go into its table."""

    UPSERT = "upsert"
    APPEND = "append"
    REPLACE = "replace"


@dataclass(frozen=True)
class Dataset:
    """A table and the way into it."""

    name: str
    mode: Mode
    tagged: bool = False
    """Whether the objects of its loaded files are to be tagged."""


DATASETS = (
    Dataset("chaos_stock", Mode.UPSERT),
    Dataset("chaos_prices", Mode.UPSERT),
    Dataset("chaos_sales", Mode.APPEND),
    Dataset("chaos_returns", Mode.APPEND, tagged=True),
    Dataset("chaos_branches", Mode.REPLACE),
)
MENDED = Dataset("chaos_mended", Mode.APPEND)
"""Lacks a column until the run is over."""


class Damage(StrEnum):
    """What is wrong with a file; the value is the error_code that it must meet."""

    TAMPERED = "ciphertext_corrupt"
    NOT_AGE = "age_header_invalid"
    STRANGER = "no_matching_identity"
    NOT_GZIP = "gzip_invalid"
    RAGGED = "csv_malformed"
    COLUMN = "columns_mismatch"
    VALUE = "value_invalid"
    CRASHED = "crashed"
    """Done to it by the storm, never by its maker."""
    GROUP = "group_rejected"
    """Nothing is wrong with it, but with another part of its group."""


MADE = tuple(damage for damage in Damage if damage not in {Damage.CRASHED, Damage.GROUP})
OF_A_PART = (Damage.TAMPERED, Damage.STRANGER, Damage.NOT_GZIP)
"""What is found in a part by itself, and so rejects its group whenever it comes."""


@dataclass(frozen=True)
class File:
    """One object version to send.

    Attributes:
        number: its own.
        dataset: where it goes.
        key: S3 key.
        version: orders the versions of a key, from 1.
        csv: the plaintext, before the damage.
        damage: what is wrong with it.
        ordinary: announced by the bucket itself; the others by an event of ours, with sequencer and time.
        sequencer: as S3 would say it.
        event_time: as EventBridge would say it.
        copies: how often its event is sent at once.
        group: the file is a part of this group, should it be one.
        part: which, from 1.
        parts: of how many.
    """

    number: int
    dataset: Dataset
    key: str
    version: int
    csv: bytes
    damage: Damage | None = None
    ordinary: bool = False
    sequencer: str = ""
    event_time: str = ""
    copies: int = 1
    group: str = ""
    part: int = 0
    parts: int = 0


class Maker:
    """Makes the files of one seed."""

    def __init__(self, seed: int, count: int) -> None:
        self._random = random.Random(f"{seed} files")
        self._count = count
        self._made: list[File] = []
        self._keys = 0
        self._large = 0

    def make(self) -> list[File]:
        """All files, in the order in which they are announced: versions of a key in any order."""
        kinds: list[tuple[Callable[[], None], int]] = [
            (self._single, 50),
            (self._versions, 18),
            (self._return_to_old_content, 5),
            (self._equal_contents, 6),
            (self._whole_table, 6),
            (self._rejected, 9),
            (self._corrected, 4),
            (self._group, 6),
        ]
        self._to_be_mended()
        while len(self._made) < self._count:
            [kind] = self._random.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])
            kind()
        return self._shuffled()

    def _shuffled(self) -> list[File]:
        """Neighbours change places within some distance, so that a key's versions arrive in any order but still near one another."""
        return sorted(self._made, key=lambda file: file.number + self._random.uniform(0, 12))

    def _key(self, dataset: Dataset) -> str:
        self._keys += 1
        return f"incoming/{dataset.name}/{self._keys:05}.csv.gz.age"

    def _rows(self) -> int:
        if self._large < LARGE_MOST and self._random.random() < LARGE_SHARE:
            self._large += 1
            return LARGE_ROWS
        return self._random.choice([1, 3, 10, 40, 200])

    def _csv(self, rows: int, version: int) -> bytes:
        source = self._random
        first = self._keys * IDS_PER_KEY
        lines = (f"{first + n},{self._keys:05},{version},{source.getrandbits(256):x}\n" for n in range(rows))
        return ("id,file,version,body\n" + "".join(lines)).encode()

    def _add(self, dataset: Dataset, key: str, version: int, csv: bytes, damage: Damage | None = None, *, ordinary: bool = False) -> None:
        number = len(self._made)
        moment = (FIRST_EVENT + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
        # Of different lengths, as S3's are: the shorter is padded with zeros on the right.
        sequencer = f"{version:04X}" + self._random.choice(["", "1", "08F", "00"])
        copies = self._random.choice([1, 1, 1, 2, 3, 10])
        if ordinary:
            moment, sequencer, copies = "", "", 1
        self._made.append(File(number, dataset, key, version, csv, damage, ordinary, sequencer, moment, copies))

    def _some(self, *modes: Mode) -> Dataset:
        return self._random.choice([dataset for dataset in DATASETS if dataset.mode in modes])

    def _single(self) -> None:
        dataset = self._some(Mode.UPSERT, Mode.APPEND)
        self._add(dataset, self._key(dataset), 1, self._csv(self._rows(), 1), ordinary=self._random.random() < 0.6)

    def _versions(self) -> None:
        """Each version has the same ids, so that the newest one alone says what an upserted table holds."""
        dataset = self._some(Mode.UPSERT, Mode.APPEND)
        key, rows = self._key(dataset), self._random.choice([1, 3, 10, 40])
        for version in range(1, self._random.randint(2, 4) + 1):
            self._add(dataset, key, version, self._csv(rows, version))

    def _return_to_old_content(self) -> None:
        dataset = self._some(Mode.UPSERT)
        key = self._key(dataset)
        old, new = self._csv(5, 1), self._csv(5, 2)
        for version, csv in enumerate(self._random.choice([(old, new, old), (old, old, new), (old, new, new)]), 1):
            self._add(dataset, key, version, csv)

    def _equal_contents(self) -> None:
        dataset = self._some(Mode.UPSERT, Mode.APPEND)
        key = self._key(dataset)
        csv = self._csv(self._random.choice([1, 10, 200]), 1)
        for key_of_its_own in (key, f"{key.removesuffix('.csv.gz.age')}-again.csv.gz.age"):
            self._add(dataset, key_of_its_own, 1, csv)

    def _whole_table(self) -> None:
        dataset = self._some(Mode.REPLACE)
        key = self._key(dataset)
        for version in range(1, self._random.randint(1, 2) + 1):
            self._add(dataset, key, version, self._csv(self._random.choice([3, 20]), version))

    def _rejected(self) -> None:
        dataset = self._some(Mode.UPSERT, Mode.APPEND)
        damage = self._random.choice(MADE)
        self._add(dataset, self._key(dataset), 1, self._csv(10, 1), damage, ordinary=self._random.random() < 0.5)

    def _corrected(self) -> None:
        dataset = self._some(Mode.UPSERT, Mode.APPEND)
        key = self._key(dataset)
        self._add(dataset, key, 1, self._csv(5, 1), self._random.choice([Damage.TAMPERED, Damage.RAGGED, Damage.VALUE]))
        self._add(dataset, key, 2, self._csv(5, 2))

    def _group(self) -> None:
        """A file in parts: all of it must be in the table, once, or nothing."""
        dataset, parts = self._some(Mode.APPEND), self._random.randint(2, 4)
        name, wrong = f"group-{self._keys}", self._random.randint(1, parts) if self._random.random() < WRONG_GROUPS else 0
        damage = self._random.choice(OF_A_PART)
        for part in range(1, parts + 1):
            found = None if not wrong else damage if part == wrong else Damage.GROUP
            rows = self._random.choice([1, 10, 40])
            self._add(dataset, self._key(dataset), 1, self._csv(rows, 1), found, ordinary=self._random.random() < 0.3)
            self._made[-1] = replace(self._made[-1], group=name, part=part, parts=parts)

    def _to_be_mended(self) -> None:
        self._add(MENDED, self._key(MENDED), 1, self._csv(20, 1), Damage.COLUMN)


def body(file: File, recipient: str) -> bytes:
    """What is put in S3."""
    match file.damage:
        case Damage.NOT_AGE:
            return b"not age at all"
        case Damage.STRANGER:
            return encrypt(gzipped(file.csv), str(x25519.Identity.generate().to_public()))
        case Damage.NOT_GZIP:
            return encrypt(file.csv, recipient)
        case Damage.TAMPERED:
            sealed = bytearray(encrypt(gzipped(file.csv), recipient))
            sealed[-5] ^= 1
            return bytes(sealed)
        case _:
            return encrypt(gzipped(damaged(file)), recipient)


def damaged(file: File) -> bytes:
    """The CSV that travels."""
    lines = file.csv.splitlines(keepends=True)
    match file.damage:
        case Damage.RAGGED:
            return b"".join([*lines[:-1], b"1,2\n"])
        case Damage.VALUE:
            return b"".join([*lines[:-1], b"1,2,many,4\n"])
        case Damage.COLUMN:
            return b"".join(_with_column(lines))
        case _:
            return file.csv


def _with_column(lines: list[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        yield line.rstrip(b"\n") + (b",note\n" if number == 0 else b",x\n")


def gzipped(data: bytes) -> bytes:
    """Gzip, quickly."""
    compressor = zlib.compressobj(level=1, wbits=31)
    return compressor.compress(data) + compressor.flush()


def encrypt(data: bytes, recipient: str) -> bytes:
    """Encrypt as a sender does."""
    out = io.BytesIO()
    pyrage.encrypt_io(io.BytesIO(data), out, [x25519.Recipient.from_str(recipient)])
    return out.getvalue()
