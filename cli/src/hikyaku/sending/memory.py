"""Remembers what was sent from here, so that a file that goes again is told of.

S3 can't be asked: a sender's role may put, and read nothing; and no two ciphertexts of a file are alike. A hash of the content in the
object's metadata would tell it to whoever can guess the content. So it stays on this machine, for this user alone.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from hikyaku import state
from hikyaku.operator.output import note
from hikyaku.sequence import dataset

MOST = 1000
"""Contents that are remembered for each dataset: the last ones."""


class Before(BaseModel):
    """When and where the same content went to a dataset last."""

    key: str
    at: datetime


_KEPT = TypeAdapter(dict[str, dict[str, Before]])
"""By dataset and hash, the oldest first."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What went where.

    Attributes:
        keep: whether what is sent now is remembered; not so when nothing is sent.
        path: the file.
    """

    keep: bool = True
    path: Path = field(default_factory=lambda: state.state_folder() / "sent.json")

    def before(self, bucket: str, key: str, content: str) -> Before | None:
        """When the same content went to the same dataset, if that is remembered.

        Args:
            bucket: where to.
            key: of the object.
            content: its hash, hex.
        """
        return self._read().get(dataset(bucket, key), {}).get(content)

    def remember(self, bucket: str, key: str, content: str) -> None:
        """It has arrived. Where nothing can be kept, that is said, and is no failure: it has arrived."""
        if not self.keep:
            return
        now = Before(key=key, at=datetime.now(UTC).replace(microsecond=0))
        try:
            with state.locked(self.path):
                kept = self._read()
                others = {known: before for known, before in kept.get(dataset(bucket, key), {}).items() if known != content}
                kept[dataset(bucket, key)] = dict([*others.items(), (content, now)][-MOST:])
                state.write(self.path, _KEPT.dump_python(kept, mode="json"))
        except OSError as error:
            note(f"{self.path}: {error.strerror}: the same content will not be recognised when it is sent again.")

    def _read(self) -> dict[str, dict[str, Before]]:
        try:
            return _KEPT.validate_json(self.path.read_bytes())
        except (OSError, ValidationError):
            # Nothing was sent yet; or nobody knows, and then nothing is claimed.
            return {}
