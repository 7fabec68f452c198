"""The sender's manifest: what it states of a file, beside the file's bytes in the same PUT.

It travels in the object's metadata as base64 of JSON in UTF-8, its signature beside it as base64 of an SSHSIG blob over those exact
bytes of JSON (PROTOCOL.sshsig of OpenSSH), less its armor. Amazon S3 keeps up to 2 KB of such metadata, in ASCII.
"""

import base64
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import ErrorCode, Rejected

METADATA = "hikyaku-manifest"
"""Its name in the object's metadata: the header is x-amz-meta-hikyaku-manifest."""
SIGNATURE = "hikyaku-signature"
NAMESPACE = "hikyaku"
"""Of the signature: `ssh-keygen -Y sign -n hikyaku`."""
LONGEST = 4096
"""Characters of base64 that are looked at; S3 allows 2 KB."""
MOST_PARTS = 10_000
WIDEST_OFFSET = timedelta(hours=16)

Name = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""On one line, and without a NUL, which PostgreSQL can't store."""


def _zoned(moment: datetime) -> datetime:
    """Python takes offsets of up to a day; PostgreSQL, and this planet, do not (src/include/datatype/timestamp.h)."""
    if abs(moment.utcoffset() or timedelta()) >= WIDEST_OFFSET:
        raise ValueError("no time zone is so far from UTC")
    return moment


class Manifest(BaseModel):
    """What a sender states of one file. Fields that a newer sender added are ignored; `v` is raised where that would be wrong."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    v: Literal[1]
    sender: Name
    bucket: Name
    key: Annotated[str, Field(min_length=1, max_length=1024)]
    size: Annotated[int, Field(ge=0)]
    """Bytes of ciphertext."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the ciphertext, in hex."""
    seq: Annotated[int, Field(ge=0, lt=2**63)]
    """Counts the sender's files of a dataset: a gap tells of one that never came."""
    created_at: Annotated[AwareDatetime, Field(strict=False), AfterValidator(_zoned)]
    """ISO 8601 with its offset."""
    rows: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Data records of the CSV, if the sender counted them."""
    group: Name | None = None
    """Files of one group are loaded together, or not at all."""
    part: Annotated[int, Field(ge=1, le=MOST_PARTS)] | None = None
    """Which of the group's files this is, from 1."""
    parts: Annotated[int, Field(ge=1, le=MOST_PARTS)] | None = None
    """How many files the group has."""

    @model_validator(mode="after")
    def _is_whole_group(self) -> Self:
        given = [value is not None for value in (self.group, self.part, self.parts)]
        if any(given) and not all(given):
            raise ValueError("group, part and parts go together")
        if self.part is not None and self.parts is not None and self.part > self.parts:
            raise ValueError("part is larger than parts")
        return self

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Parse the JSON that was signed.

        Raises:
            Rejected: `manifest_invalid`, with the fields that are wrong, never their values.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            wrong = sorted({".".join(str(place) for place in problem["loc"]) or "the JSON" for problem in error.errors()})
            raise Rejected(ErrorCode.MANIFEST_INVALID, f"the manifest is not valid: {', '.join(wrong)[:200]}") from None


def unpacked(text: str, what: str) -> bytes:
    """Undo the base64 of one piece of metadata.

    Args:
        text: as S3 gave it.
        what: for the error.

    Raises:
        Rejected: `manifest_invalid`.
    """
    if len(text) <= LONGEST:
        with suppress(ValueError):
            return base64.b64decode(text, validate=True)
    raise Rejected(ErrorCode.MANIFEST_INVALID, f"the {what} in the object's metadata is not base64, or too long")
