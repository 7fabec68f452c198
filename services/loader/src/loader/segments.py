"""A file in segments: a COPY that ended at a wrong value is done again from where its segment begins, not from the file's first byte."""

from collections.abc import Iterable, Iterator

SEGMENT = 4 * 1024**2
"""Bytes, or one piece: they are held in memory."""


class Segment:
    """Some pieces of a file. It may be gone through again; what was not read before then follows.

    Args:
        first: piece of it.
        rest: of the file, from which the others are taken.
    """

    def __init__(self, first: bytes, rest: Iterator[bytes]) -> None:
        self._taken = [first]
        self._rest = rest

    def __iter__(self) -> Iterator[bytes]:
        yield from tuple(self._taken)
        while sum(map(len, self._taken)) < SEGMENT and (piece := next(self._rest, b"")):
            self._taken.append(piece)
            yield piece


def segments(pieces: Iterable[bytes]) -> Iterator[Segment]:
    """All of a file; each is to be gone through before the next one."""
    rest = iter(pieces)
    for first in rest:
        yield Segment(first, rest)
