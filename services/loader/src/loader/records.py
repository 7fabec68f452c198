"""A CSV record by record: for line numbers, for records that are to be put aside one by one, for texts that mean NULL."""

from bisect import bisect_left
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from loader import places
from loader.dialect import Dialect
from loader.front import lines_in
from shared.datasets import MAX_RECORD
from shared.errors import ErrorCode, Rejected
from shared.receipt import MOST_BAD_LINES

MOST_REJECTS = 100_000
"""Records put aside of one file, whatever share is tolerated: they are held in memory."""
MAX_RAW = 8192
"""Characters of a wrong record that are kept."""
FEW = 64
"""Records that are numbered one by one, where one of them has too few or too many fields: that takes four times as long (measured)."""


@dataclass(frozen=True, slots=True)
class WrongRecord:
    """A record that is put aside."""

    line: int
    """The place where it begins; of a file that is no part, its line."""
    column: str | None
    error_code: ErrorCode
    error: str
    """What is wrong, never the value."""
    type: str = ""
    """Of the column."""
    raw: str | None = None
    """The record as it came, where it was at hand."""

    def __str__(self) -> str:
        column = self.column and f"column {self.column}" + (f" ({self.type})" if self.type else "")
        return ", ".join(filter(None, (f"line {places.line(self.line)}", column))) + f" {self.error}"


def bad_lines(wrong: Iterable[WrongRecord]) -> tuple[int, ...]:
    """Lines of the first of these."""
    return tuple(places.line(record.line) for record in islice(wrong, MOST_BAD_LINES))


def ragged(line: int, count: int, width: int) -> WrongRecord:
    """A record with too few or too many fields."""
    return WrongRecord(line, None, ErrorCode.CSV_MALFORMED, f"has {count} fields, not {width}")


def whole(pieces: Iterable[bytes], dialect: Dialect) -> Iterator[bytes]:
    """Sound pieces, cut anew where records end. Only the last one may lack its line end.

    Raises:
        Rejected: `too_large`, a record is too long to be held in memory.
    """
    rest: list[bytes] = []
    held = 0
    for piece in pieces:
        # No piece begins within quotes: the first line end outside of them ends the record that is open.
        end = dialect.records_end(piece)
        if end:
            yield b"".join([*rest, piece[:end]])
            rest, held = [], 0
        rest.append(piece[end:])
        held += len(piece) - end
        if held > MAX_RECORD:
            raise Rejected(ErrorCode.TOO_LARGE, f"a record has more than {MAX_RECORD} bytes: is a line end missing, or a quote?")
    if held:
        yield b"".join(rest)


def with_nulls(records: Iterable[bytes], dialect: Dialect) -> Iterator[bytes]:
    """Whole records in which every unquoted text that means NULL is the first of them, the one that COPY is told."""
    if dialect.nulls is None:
        yield from records
        return
    null = dialect.null
    for piece in records:
        yield dialect.nulls.sub(lambda found: found[1] or null, piece)


def split(piece: bytes, dialect: Dialect) -> Sequence[bytes]:
    """The single records of whole ones, each with its line end."""
    if dialect.quote not in piece:
        return piece.splitlines(keepends=True)
    end = dialect.records_end(piece)
    found = [match.group() for match in dialect.record.finditer(piece, 0, end)]
    return [*found, piece[end:]] if end < len(piece) else found


class Sieve:
    """Numbers records by their lines and puts aside those that COPY would not get over.

    Args:
        dialect: of the dataset.
        width: fields that a record must have.
        line: number of the first record's first line.
        no_text: lines where records begin that are not of the encoding.
        strict: nothing passes behind the first wrong record.
    """

    def __init__(self, dialect: Dialect, width: int, line: int, no_text: Container[int] = (), *, strict: bool = False) -> None:
        self._strict = strict
        self._dialect = dialect
        self._no_text = no_text
        self._width = width
        self._line = line
        self._not_shape = bytes(byte for byte in range(256) if bytes([byte]) not in (dialect.delimiter, b"\r", b"\n"))
        # Quoted, so that no number is taken for NULL.
        self._numbered = dialect.quote + b"%d" + dialect.quote + dialect.delimiter.replace(b"%", b"%%") + b"%b"
        self.wrong: list[WrongRecord] = []
        self._dropped: list[tuple[int, int]] = []
        """First line and number of lines."""

    def numbered(self, records: Iterable[bytes]) -> Iterator[bytes]:
        """Whole records, each with its line as a first field.

        Raises:
            Rejected: too many are wrong.
        """
        for piece in records:
            parts = split(piece, self._dialect)
            if self._no_text or b"\0" in piece or self._dialect.quote in piece or not self._is_text(piece):
                numbered = list(map(self._number, parts))
            else:
                numbered = self._number_plain(piece, parts)
            if self._strict and self.wrong:
                # What stands before may be wrong for COPY, and is then the first.
                yield b"".join(numbered[: numbered.index(b"")])
                return
            yield b"".join(numbered)

    def _number(self, record: bytes) -> bytes:
        dialect, line = self._dialect, self._line
        lines = lines_in(record)
        self._line += lines
        if b"\0" in record or line in self._no_text or not self._is_text(record):
            error = f"is not {dialect.encoding}, or has a NUL"
            return self._drop(WrongRecord(line, None, ErrorCode.ENCODING_INVALID, error), lines, record)
        count = dialect.fields(record)
        if count != self._width:
            return self._drop_ragged(line, lines, record, count)
        return self._numbered % (line, record)

    def _number_plain(self, piece: bytes, parts: Sequence[bytes]) -> list[bytes]:
        """The same for records of one line each, which most are: most of them together."""
        if self._is_even(piece, parts):
            return self._number_even(parts)
        if len(parts) <= FEW:
            return self._number_each(parts)
        middle = len(parts) // 2
        return [each for half in (parts[:middle], parts[middle:]) for each in self._number_plain(b"".join(half), half)]

    def _is_even(self, piece: bytes, parts: Sequence[bytes]) -> bool:
        """Whether all have all their fields, and end alike."""
        end = parts[0][len(parts[0].rstrip(b"\r\n")) :]
        return piece.translate(None, self._not_shape) == (self._dialect.delimiter * (self._width - 1) + end) * len(parts)

    def _number_even(self, parts: Sequence[bytes]) -> list[bytes]:
        quote, delimiter = self._dialect.quote.decode(), self._dialect.delimiter.decode()
        numbers = f"{quote}{delimiter}\n{quote}".join(map(str, range(self._line, self._line + len(parts))))
        self._line += len(parts)
        return list(chain.from_iterable(zip(f"{quote}{numbers}{quote}{delimiter}".encode().split(b"\n"), parts, strict=True)))

    def _number_each(self, parts: Sequence[bytes]) -> list[bytes]:
        numbered, delimiter, within, first = self._numbered, self._dialect.delimiter, self._width - 1, self._line
        self._line += len(parts)
        return [
            numbered % (line, part) if part.count(delimiter) == within else self._drop_ragged(line, 1, part, part.count(delimiter) + 1)
            for line, part in enumerate(parts, first)
        ]

    def _is_text(self, data: bytes) -> bool:
        """Of UTF-8 Python can judge as PostgreSQL does; what is none of another encoding was looked for before."""
        if self._dialect.encoding != "utf-8":
            return True
        try:
            data.decode()
        except UnicodeDecodeError:
            return False
        return True

    def _drop_ragged(self, line: int, lines: int, record: bytes, count: int) -> bytes:
        return self._drop(ragged(line, count, self._width), lines, record)

    def _drop(self, wrong: WrongRecord, lines: int, record: bytes) -> bytes:
        # Where texts that mean NULL were replaced, this is not what came.
        self.wrong.append(wrong if self._dialect.nulls else replace(wrong, raw=readable(record, self._dialect)))
        self._dropped.append((wrong.line, lines))
        check_number(self.wrong)
        return b""

    @property
    def dropped(self) -> frozenset[int]:
        """Lines where records begin that were put aside."""
        return frozenset(line for line, _ in self._dropped)

    def line_of(self, numbered: int) -> int:
        """The file's line of what is a line of the numbered records, where every record has one line."""
        for line, lines in self._dropped:
            if line > numbered:
                break
            numbered += lines
        return numbered


def check_number(wrong: Sequence[WrongRecord]) -> None:
    """No file has so many wrong records and is right otherwise.

    Raises:
        Rejected: there are more than can be put aside.
    """
    if len(wrong) > MOST_REJECTS:
        what = f"more than {MOST_REJECTS} records are wrong, the first: {wrong[0]}"
        raise Rejected(ErrorCode.TOO_MANY_REJECTED_ROWS, what, bad_lines(wrong))


def walk(records: Iterable[bytes], dialect: Dialect, line: int) -> Iterator[tuple[int, bytes]]:
    """Single records of whole ones, each with the line where it begins.

    Args:
        records: of the whole file.
        dialect: of the dataset.
        line: number of the first record's first line.
    """
    for piece in records:
        for record in split(piece, dialect):
            yield line, record
            line += lines_in(record)


def find(records: Iterable[bytes], dialect: Dialect, line: int, wanted: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """Those of them that begin at the wanted lines; see `walk`."""
    lines, position = sorted(wanted), 0
    for piece in records:
        if position == len(lines):
            return
        # The last record of the file may have no line end.
        behind = line + max(lines_in(piece), 1)
        if lines[position] < behind:
            upto = bisect_left(lines, behind)
            if dialect.quote in piece:
                yield from (pair for pair in walk([piece], dialect, line) if pair[0] in wanted)
            else:
                parts = split(piece, dialect)
                yield from ((each, parts[each - line]) for each in lines[position:upto])
            position = upto
        line = behind


def readable(record: bytes, dialect: Dialect) -> str:
    """A record as text that PostgreSQL stores: what is no text is shown by its bytes."""
    text = record.rstrip(b"\r\n").decode(dialect.encoding, "backslashreplace")
    return text.replace("\0", "\\x00")[:MAX_RAW]
