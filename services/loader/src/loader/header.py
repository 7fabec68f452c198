"""The first record of a CSV: where it ends, and which columns it names. COPY sees only what follows."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.datasets import Dataset
from shared.errors import ErrorCode, Rejected

MAX_HEADER = 1024**2
"""Bytes. PostgreSQL allows 1,600 columns with names of 63 bytes."""
BOM = b"\xef\xbb\xbf"
NEWLINES = b"\r\n"
LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Header:
    """What the first record said."""

    names: tuple[str, ...]
    lines: int
    """Physical lines that it took."""


def split(chunks: Iterator[bytes], dataset: Dataset) -> tuple[Header, Iterator[bytes]]:
    """Take the header off.

    Args:
        chunks: the CSV from its start, without BOM.
        dataset: for encoding, quote and delimiter.

    Returns:
        The header, and the CSV from the first data record on.

    Raises:
        Rejected: `csv_malformed` (no header, or one without end), `encoding_invalid`.
    """
    end = _End(dataset.quote.encode())
    taken = bytearray()
    for chunk in chunks:
        taken += chunk
        if (cut := end.find(taken)) is not None:
            return _parse(bytes(taken[:cut]), dataset), _rest(bytes(taken[cut:]), chunks)
        if len(taken) > MAX_HEADER:
            raise Rejected(ErrorCode.CSV_MALFORMED, f"the header does not end within {MAX_HEADER} bytes: a quote is not closed?")
    return _parse(bytes(taken), dataset), iter(())


def without_bom(chunks: Iterator[bytes], dataset: Dataset) -> Iterator[bytes]:
    """Drop a byte order mark: it would become part of the first column's name, or of the first value."""
    first = b""
    # A first gzip member may be shorter than the mark.
    while len(first) < len(BOM) and (chunk := next(chunks, b"")):
        first += chunk
    return _rest(first.removeprefix(BOM) if dataset.encoding == "utf-8" else first, chunks)


def _rest(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from chunks


class _End:
    """Finds the end of the first record, over any number of looks at a growing buffer.

    Quotes and line ends are bytes below 0x40, which no encoding that we take uses within a character.
    """

    def __init__(self, quote: bytes) -> None:
        self._quote = quote[0]
        self._quoted = False
        self._position = 0

    def find(self, buffer: bytearray) -> int | None:
        """Offset behind the record's line end; None while it is not in the buffer."""
        for position in range(self._position, len(buffer)):
            byte = buffer[position]
            self._position = position
            if byte == self._quote:
                self._quoted = not self._quoted
            elif byte in NEWLINES and not self._quoted:
                return self._behind(buffer, position)
        self._position = len(buffer)
        return None

    @staticmethod
    def _behind(buffer: bytearray, position: int) -> int | None:
        if buffer[position : position + 1] == b"\n":
            return position + 1
        if position + 1 == len(buffer):
            return None
        return position + (2 if buffer[position + 1 : position + 2] == b"\n" else 1)


def _parse(record: bytes, dataset: Dataset) -> Header:
    try:
        text = record.decode(dataset.encoding)
    except UnicodeDecodeError:
        raise Rejected(ErrorCode.ENCODING_INVALID, f"the header is not {dataset.encoding}: correct `encoding` in datasets.toml") from None
    try:
        rows = list(csv.reader([text], delimiter=dataset.delimiter, quotechar=dataset.quote, strict=True))
    except csv.Error:
        raise Rejected(ErrorCode.CSV_MALFORMED, "the header has a quote that is not closed, or text behind a quote") from None
    names = tuple(name.strip() for name in rows[0]) if rows else ()
    if not any(names):
        raise Rejected(ErrorCode.CSV_MALFORMED, "the file has no header")
    return Header(names, len(LINE_END.findall(text)))
