"""Cuts a CSV into parts where records end. Each has the header; together they are loaded as one file, or not at all.

A record may hold line ends between quotes (RFC 4180), so quotes are counted: behind an even number of them no text is open. In every
encoding that the receiver takes but UTF-16, a quote and a line end are these bytes and part of no other character: the second byte of
a CP932 or Big5 character is 0x40 or above, that of a GB18030 one 0x30 or above, and those of UTF-8 and the EUCs are 0x80 or above.
"""

import gzip
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from isal import igzip, isal_zlib
from pydantic import ByteSize, TypeAdapter, ValidationError

from hikyaku.errors import UserError

CHUNK = 256 * 1024
LONGEST_HEADER = 1024 * 1024
MOST_PARTS = 10_000
"""What a manifest takes."""
QUOTE = b'"'
_SIZE = TypeAdapter(ByteSize)
UTF16 = (b"\xff\xfe", b"\xfe\xff")
NAMED = 40
"""Characters of the file's name in the group's: S3 keeps 2 KB of metadata."""


@dataclass(frozen=True, slots=True)
class Splitting:
    """How a file is to be cut.

    Attributes:
        size: bytes of CSV in each part, about.
        header: whether the first record is one.
        group: its name; empty for one made from the file's name and content.
    """

    size: int
    header: bool = True
    group: str = ""


def parse_size(text: str) -> int:
    """Bytes, as `256MB` or `64KiB`.

    Raises:
        UserError: it is no size.
    """
    try:
        size = int(_SIZE.validate_python(text))
    except ValidationError:
        size = 0
    if size < 1:
        raise UserError(f"--split {text}: not a size", hint="Example: --split 256MB", exit_code=2)
    return size


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a CSV is to be cut.

    Attributes:
        header: with its line end; empty where it has none.
        ends: of each part: bytes of the CSV up to there.
        sha256: of the CSV, hex.
    """

    header: bytes
    ends: tuple[int, ...]
    sha256: str

    def group(self, file: Path) -> str:
        """The name of the parts' group: the same file makes the same group each time, so that its parts are duplicates."""
        name = "".join(sign if sign.isprintable() else "_" for sign in file.name[:NAMED])
        return f"{name}-{self.sha256[:32]}"


@contextmanager
def opened(file: Path) -> Iterator[IO[bytes]]:
    """The CSV of a `.csv`, or of a `.csv.gz`.

    Raises:
        OSError: the file can't be read.
        UserError: it is named so and is no gzip.
    """
    if file.suffix != ".gz":
        with file.open("rb") as source:
            yield source
        return
    with igzip.open(file, "rb") as unpacked:  # type: ignore[no-untyped-call] # isal annotates only parts of itself
        try:
            yield unpacked
        except (EOFError, gzip.BadGzipFile, isal_zlib.error):  # type: ignore[misc] # isal's stub takes the class for an instance
            raise UserError(f"{file.name} is not gzip, or is damaged.", hint="Is it complete? Try gzip -t.") from None


def part_key(key: str, part: int, parts: int) -> str:
    """The key of a part, given that of the whole file."""
    stem, mark, sealed = key.rpartition(".csv.gz.")
    return f"{stem}.part-{part:04}-of-{parts:04}{mark}{sealed}"


def find_cuts(source: IO[bytes], size: int, *, header: bool) -> Cut:
    """Read a CSV to its end, to find where to cut it: a part ends with the record that brings it to `size` bytes, header included.

    Args:
        source: the CSV.
        size: bytes.
        header: whether the first record is one.

    Raises:
        UserError: it can't be cut.
    """
    digest, head = hashlib.sha256(), _Head.of(source)
    first = head.record if header else b""
    scan = _Scan(size, head.line_end, first)
    for chunk in _chunks(head.read, source):
        digest.update(chunk)
        scan.feed(chunk)
        if len(scan.ends) >= MOST_PARTS:
            raise UserError(f"that makes more than {MOST_PARTS:,} parts.", hint="Choose a larger --split.", exit_code=2)
    return Cut(first, scan.all_ends(), digest.hexdigest())


class Parts:
    """The parts of a CSV, one after another.

    Args:
        source: the CSV from its start.
        cut: where it is to be cut.
    """

    def __init__(self, source: IO[bytes], cut: Cut) -> None:
        self._source = source
        self._cut = cut
        self._digest = hashlib.sha256()
        self._at = 0

    def __iter__(self) -> "Iterator[Part]":
        for number, end in enumerate(self._cut.ends):
            yield Part(self, self._cut.header if number else b"", end)

    def take(self, end: int, size: int) -> bytes:
        """The next bytes of the CSV, at most so many, and not beyond an end."""
        data = self._source.read(min(size, end - self._at))
        self._digest.update(data)
        self._at += len(data)
        return data

    def is_unchanged(self) -> bool:
        """Whether the CSV that was read to its end is the one that was looked at before."""
        return self._at == self._cut.ends[-1] and not self._source.read(1) and self._digest.hexdigest() == self._cut.sha256


class Part:
    """A file to read: the header, and the part's records. To be read to its end before the next one."""

    def __init__(self, parts: Parts, header: bytes, end: int) -> None:
        self._parts = parts
        self._header = header
        self._end = end

    def read(self, size: int) -> bytes:
        """At most so many bytes; nothing at the end."""
        if self._header:
            data, self._header = self._header[:size], self._header[size:]
            return data
        return self._parts.take(self._end, size)


@dataclass(frozen=True, slots=True)
class _Head:
    """What a CSV begins with."""

    read: bytes
    """All that was read to find it."""
    record: bytes
    """The first record, with its line end."""
    line_end: bytes
    """The byte behind which records end."""

    @classmethod
    def of(cls, source: IO[bytes]) -> "_Head":
        read, end = b"", None
        while end is None and (chunk := source.read(CHUNK)):
            read += chunk
            if read.startswith(UTF16) or b"\0" in chunk:
                raise UserError(
                    "the file is UTF-16, or no text: it can't be cut.", hint="Send it without --split, or as UTF-8.", exit_code=2
                )
            end = _first_end(read)
            if end is None and len(read) > LONGEST_HEADER:
                raise UserError("the first record does not end within 1 MiB.", hint="Is a quote not closed?", exit_code=2)
        record = read[:end]
        return cls(read, record, b"\r" if record.endswith(b"\r") else b"\n")


def _first_end(data: bytes) -> int | None:
    """Where the first record ends; None where that is not known yet."""
    found = re.match(rb'(?>[^"\r\n]*+(?>"[^"]*+"[^"\r\n]*+)*+)(?:\r\n|\n|\r(?=[^\n]))', data)
    return found.end() if found else None


class _Scan:
    """Finds the first end of a record from a certain size on, whatever the pieces that it is fed with."""

    def __init__(self, size: int, line_end: bytes, header: bytes) -> None:
        self._size = size
        self._header = len(header)
        self._marks = re.compile(b"[" + QUOTE + line_end + b"]")
        self._within_quotes = False
        self._at = 0
        # The header counts for each part.
        self._wanted = max(size, len(header) + 1)
        self.ends: list[int] = []

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes."""
        position = 0
        # The last byte of a part is at this index or behind.
        while (last := self._wanted - 1 - self._at) < len(chunk):
            upto = max(position, last)
            self._pass(chunk, position, upto)
            end = self._next_end(chunk, upto)
            if end is None:
                position = len(chunk)
                break
            self.ends.append(self._at + end)
            self._wanted = self._at + end + max(self._size - self._header, 1)
            position = end
        self._pass(chunk, position, len(chunk))
        self._at += len(chunk)

    def _pass(self, chunk: bytes, start: int, end: int) -> None:
        self._within_quotes ^= chunk.count(QUOTE, start, end) % 2 == 1

    def _next_end(self, chunk: bytes, start: int) -> int | None:
        for found in self._marks.finditer(chunk, start):
            if found.group() == QUOTE:
                self._within_quotes = not self._within_quotes
            elif not self._within_quotes:
                return found.end()
        return None

    def all_ends(self) -> tuple[int, ...]:
        """Ends of all parts, once the CSV has been read."""
        return tuple(self.ends) if self.ends and self.ends[-1] == self._at else (*self.ends, self._at)


def _chunks(first: bytes, source: IO[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    while chunk := source.read(CHUNK):
        yield chunk
