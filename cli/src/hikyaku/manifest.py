"""The sender's manifest: what is stated of a file, in the metadata of the same PUT (docs/security.md, Who sent it).

The receiving side has its own model of it in shared/manifest.py, which a sender does not install; a test holds the two together.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hikyaku.errors import UserError
from hikyaku.parcel import Sealed
from hikyaku.sequence import Sequence
from hikyaku.sign import sign

METADATA = "hikyaku-manifest"
SIGNATURE = "hikyaku-signature"
ROOM = 2048
"""Bytes of names and values that S3 keeps of an object's metadata (Amazon S3 User Guide, user-defined object metadata)."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which file of a group this is; the parts of a group are loaded together, or not at all."""

    group: str
    part: int
    """From 1."""
    parts: int


@dataclass(frozen=True, slots=True)
class Voucher:
    """Who vouches for the files of one command, and how.

    Attributes:
        sender: the name that the receiver knows the key by.
        key: private key, or public key of one in an agent; None leaves the manifest unsigned.
        sequence: numbers the sender's files.
        now: the time of day.
    """

    sender: str
    key: Path | None
    sequence: Sequence
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def metadata(self, bucket: str, key: str, sealed: Sealed, part: Part | None = None) -> dict[str, str]:
        """The object's metadata for one file; its number is taken, whatever becomes of the upload.

        Raises:
            UserError: it can't be numbered or signed, or is more than S3 keeps.
        """
        stated: dict[str, str | int] = {
            "v": 1,
            "sender": self.sender,
            "bucket": bucket,
            "key": key,
            "size": sealed.size,
            "sha256": sealed.sha256,
            "seq": self.sequence.take(self.sender, bucket, key),
            "created_at": self.now().isoformat(timespec="seconds"),
        }
        if part is not None:
            stated |= {"group": part.group, "part": part.part, "parts": part.parts}
        manifest = json.dumps(stated, ensure_ascii=False, separators=(",", ":")).encode()
        found = {METADATA: base64.b64encode(manifest).decode()}
        if self.key is not None:
            found[SIGNATURE] = sign(manifest, self.key)
        _fits(found, key)
        return found


def _fits(metadata: dict[str, str], key: str) -> None:
    size = sum(len(name) + len(value) for name, value in metadata.items())
    if size > ROOM:
        hint = "Use an ed25519 key (ssh-keygen -t ed25519), whose signatures are short, or a shorter file name."
        raise UserError(f"manifest and signature of {key} have {size} bytes, S3 keeps {ROOM}", hint=hint)
