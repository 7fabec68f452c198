"""The first record of a CSV: where it ends, and which columns it names. COPY sees only what follows."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from loader.dialect import Dialect
from loader.front import lines_in
from shared.errors import ErrorCode, Rejected

MAX_HEADER = 1024**2
"""Bytes. PostgreSQL allows 1,600 columns with names of 63 bytes."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the first record said."""

    names: tuple[str, ...]
    lines: int
    """Physical lines that it took."""


def split(chunks: Iterator[bytes], dialect: Dialect) -> tuple[Header, Iterator[bytes]]:
    """Take the header off.

    Args:
        chunks: the CSV from its start, without BOM, in the dialect's encoding.
        dialect: of the dataset.

    Returns:
        The header, and the CSV from the first data record on.

    Raises:
        Rejected: `csv_malformed` (no header, or one without end), `encoding_invalid`.
    """
    taken = b""
    for chunk in chunks:
        taken += chunk
        found = dialect.record.match(taken)
        # A CR at the end may be half of a line end.
        if found and (found.end() < len(taken) or not taken.endswith(b"\r")):
            return _parse(found.group(), dialect), _rest(taken[found.end() :], chunks)
        if len(taken) > MAX_HEADER:
            raise Rejected(ErrorCode.CSV_MALFORMED, f"line 1: the header does not end within {MAX_HEADER} bytes: a quote is not closed?")
    return _parse(taken, dialect), iter(())


def _rest(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from chunks


def _parse(record: bytes, dialect: Dialect) -> Header:
    if b"\0" in record:
        raise Rejected(
            ErrorCode.ENCODING_INVALID, "line 1: the header has a NUL: is the file UTF-16? Say so with `encoding` in datasets.toml"
        )
    try:
        text = record.decode(dialect.encoding)
    except UnicodeDecodeError:
        what = f"line 1: the header is not {dialect.encoding}"
        raise Rejected(ErrorCode.ENCODING_INVALID, f"{what}: correct `encoding` in datasets.toml, or the file") from None
    try:
        rows = list(_reader(text, dialect))
    except csv.Error:
        raise Rejected(ErrorCode.CSV_MALFORMED, "line 1: the header has a quote that is not closed, or text behind a quote") from None
    names = tuple(name.strip() for name in rows[0]) if rows else ()
    if not any(names):
        raise Rejected(ErrorCode.CSV_MALFORMED, "line 1: the file has no header")
    return Header(names, lines_in(record))


def _reader(text: str, dialect: Dialect) -> Iterator[list[str]]:
    doubled = dialect.escape == dialect.quote
    return csv.reader(
        [text],
        delimiter=dialect.delimiter.decode(),
        quotechar=dialect.quote.decode(),
        doublequote=doubled,
        escapechar=None if doubled else dialect.escape.decode(),
        strict=True,
    )
