"""What gpg says of a message on its status descriptor (GnuPG, doc/DETAILS, Format of the --status-fd output). Nothing is decided here."""

from dataclasses import dataclass
from typing import Self

PREFIX = "[GNUPG:] "
VALIDSIG_FIELDS = 10
"""Fingerprint, date, time, expiry, version, reserved, algorithm of the key, of the hash, class, fingerprint of the primary key."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A VALIDSIG line: the signature is right; by whose key, is for others to judge."""

    primary: str
    """Fingerprint of the primary key, by which a sender is known."""
    made_at: int
    """Seconds since 1970, as the signer says."""
    key_algorithm: int
    hash_algorithm: int
    kind: str
    """`00`: of the very bytes (RFC 4880, section 5.2.1)."""

    @classmethod
    def read(cls, fields: tuple[str, ...]) -> Self:
        """Of the line's fields.

        Raises:
            ValueError: it is not such a line.
        """
        if len(fields) != VALIDSIG_FIELDS:
            raise ValueError(f"VALIDSIG has {len(fields)} fields")
        return cls(primary=fields[9], made_at=int(fields[2]), key_algorithm=int(fields[6]), hash_algorithm=int(fields[7]), kind=fields[8])


@dataclass(frozen=True, slots=True)
class Status:
    """The lines, in order: a keyword, and its fields."""

    lines: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Of all that gpg wrote. What is no whole status line is passed over: a line that was cut says nothing for sure."""
        *whole, _ = data.decode("utf-8", "replace").split("\n")
        words = [line.removeprefix(PREFIX).split(" ") for line in whole if line.startswith(PREFIX)]
        return cls(tuple((keyword, tuple(fields)) for keyword, *fields in words))

    def has(self, *keywords: str) -> bool:
        """Whether there is a line with one of these keywords."""
        return any(keyword in keywords for keyword, _ in self.lines)

    def of(self, keyword: str) -> list[tuple[str, ...]]:
        """The fields of each such line."""
        return [fields for found, fields in self.lines if found == keyword]

    def within(self, keyword: str, first: str, last: str) -> bool:
        """Whether every line with the keyword comes after `first` and before `last`, of which there is one each."""
        keywords = [found for found, _ in self.lines]
        if keywords.count(first) != 1 or keywords.count(last) != 1:
            return False
        inside = keywords[keywords.index(first) : keywords.index(last)]
        return inside.count(keyword) == keywords.count(keyword)
