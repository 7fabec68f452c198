"""What the senders of the simulation put into S3."""

import gzip
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from typing import Any

from fakes.line import BUCKET, body, eventbridge
from fakes.s3 import FakeS3, etag
from fakes.senders import metadata, stated
from shared.contract import AfterLoad
from shared.datasets import Mode
from shared.failpoint import Point

DATASETS = {"log": Mode.APPEND, "stock": Mode.UPSERT, "whole": Mode.REPLACE}
KEYS = ("log/a", "log/b", "log/c", "stock/d", "stock/e", "whole/f", "whole/g", "test/log/h")
AFTER_LOAD = {"log": AfterLoad.DELETE, "stock": AfterLoad.TAG, "whole": AfterLoad.KEEP}
CONFIGURATION = "\n".join(
    [
        '[defaults]\nsignature = "if_present"',
        *(f'[datasets.{name}]\nmode = "{mode}"\nafter_load = "{AFTER_LOAD[name]}"' for name, mode in DATASETS.items()),
    ]
)
CONTENTS = "ABX"
"""X is the same under every key of a dataset."""
POISONOUS = "log/poison"
GROUPS = ("log", "stock")
"""Datasets whose files may come in parts."""


class Kind(StrEnum):
    """How a file is."""

    GOOD = "good"
    CORRUPT = "corrupt"
    """The decryptor finds out."""
    MALFORMED = "malformed"
    """The loader does."""
    MISSING = "deleted at once"
    POISON_DECRYPTOR = "kills each decryptor"
    POISON_LOADER = "kills each loader"


POISON = {Kind.POISON_DECRYPTOR: Point.DECRYPTOR_WRITTEN, Kind.POISON_LOADER: Point.LOADER_COPIED}
"""Where a file takes its process with it."""


@dataclass(frozen=True)
class Part:
    """Which part of which group a file is, and how the group's parts are."""

    group: str
    number: int
    kinds: tuple[Kind, ...]

    @property
    def is_loaded(self) -> bool:
        """Whether the group can be."""
        return set(self.kinds) == {Kind.GOOD}


@dataclass(frozen=True)
class File:
    """One version of an object; a higher number is a later upload."""

    number: int
    path: str
    content: str
    kind: Kind
    part: Part | None = None

    def __str__(self) -> str:
        return f"{self.path}#{self.number}" + (f" ({self.kind})" if self.kind is not Kind.GOOD else f"={self.content}")

    @property
    def key(self) -> str:
        return f"incoming/{self.path}.csv.gz.age"

    @property
    def version(self) -> str:
        return f"v{self.number}"

    @property
    def dry_run(self) -> bool:
        return self.path.startswith("test/")

    @property
    def dataset(self) -> str:
        return self.path.removeprefix("test/").split("/")[0]

    @property
    def mode(self) -> Mode:
        return DATASETS[self.dataset]

    @property
    def is_good(self) -> bool:
        """Whether it is to be loaded: a part only with all others."""
        return self.kind is Kind.GOOD and (self.part is None or self.part.is_loaded)

    @property
    def is_poison(self) -> bool:
        return self.kind in POISON

    @cached_property
    def rows(self) -> tuple[tuple[str, str], ...]:
        """One of its own, and one that tells nothing but the content."""
        name = self.content if self.content == "X" else self.path
        return ((name, self.content),)

    @property
    def data(self) -> bytes:
        """What the fake decryption turns into the CSV's gzip."""
        if self.kind is Kind.CORRUPT:
            return b"!" + str(self.number).encode()
        extra = ",too much" if self.kind is Kind.MALFORMED else ""
        return _packed("id,v\n" + "".join(f"{name},{value}{extra}\n" for name, value in self.rows))

    def put(self, s3: FakeS3) -> None:
        """Upload it."""
        if self.kind is Kind.MISSING:
            s3.mark_deleted(BUCKET, self.key, self.version)
        else:
            s3.put(BUCKET, self.key, self.version, self.data, Metadata=self._metadata)

    @property
    def _metadata(self) -> dict[str, str]:
        if self.part is None:
            return {}
        group = {"group": self.part.group, "part": self.part.number, "parts": len(self.part.kinds)}
        return metadata(stated(self.data, bucket=BUCKET, key=self.key, seq=self.number, **group))

    @cached_property
    def event(self) -> str:
        """What EventBridge says of it. Sequencers differ in length, and times of a key may be against their order."""
        event: dict[str, Any] = eventbridge(self.key, version=self.version, size=len(self.data))
        detail: dict[str, Any] = event["detail"]["object"]
        detail["etag"] = etag(self.data)
        detail["sequencer"] = f"{self.number:04X}" + ("" if self.number % 2 else "0F3")
        second = self.number if self.mode is Mode.REPLACE else 59 - self.number % 60
        event["time"] = f"2026-11-12T00:{self.number // 60:02}:{second % 60:02}Z"
        return body(event)


@cache
def _packed(text: str) -> bytes:
    return gzip.compress(text.encode(), 1, mtime=0)
