"""What is sent: a file, or what comes on standard input."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hikyaku.errors import UserError
from hikyaku.parcel import CHUNK, Readable

STDIN = Path("-")
STDIN_NAME = "standard input"
GZIP_MAGIC = b"\x1f\x8b"
"""What a gzip begins with (RFC 1952, 2.3.1), and no CSV in any encoding that the receiver takes."""


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to send.

    Attributes:
        name: for people, and of a file also for its key.
        reader: gives its bytes.
        packed: whether they are gzip already.
        size: bytes; None where nobody knows before the end.
    """

    name: str
    reader: Readable
    packed: bool
    size: int | None


@contextmanager
def opened(file: Path) -> Iterator[Source]:
    """A file from its start, or standard input for `-`.

    Raises:
        OSError: the file can't be read.
        UserError: nothing comes on standard input.
    """
    if file == STDIN:
        yield _standard_input()
        return
    with file.open("rb") as source:
        yield Source(file.name, source, file.suffix == ".gz", file.stat().st_size)


def _standard_input() -> Source:
    # Python has none where it is closed (`<&-`), as some that start programs at night leave it.
    pipe = sys.stdin.buffer if sys.stdin else io.BytesIO()
    first = pipe.read(CHUNK)
    if not first:
        # Most likely what should have written has failed; no CSV is empty, not even one without rows.
        raise UserError("nothing came on standard input; nothing was sent.", hint="Did the command before the pipe fail?")
    return Source(STDIN_NAME, _Begun(first, pipe), first.startswith(GZIP_MAGIC), None)


class _Begun:
    """A stream whose first piece was read already."""

    def __init__(self, first: bytes, rest: IO[bytes]) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; nothing at the end."""
        if self._first:
            piece, self._first = self._first[:size], self._first[size:]
            return piece
        return self._rest.read(size)
