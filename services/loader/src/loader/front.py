r"""What every CSV passes on its way to COPY: recoded where PostgreSQL lacks its encoding, every quote in its place, records counted.

COPY takes a quote anywhere for the begin of quoted text: of `5" pipe` in two lines it makes one record, and reports success. And
before PostgreSQL 18 it stops at a line `\.`, and reports success. So nothing is handed over that RFC 4180 would read otherwise, and
the records are counted here, by code that shares nothing with COPY.
"""

import codecs
import re
from collections.abc import Iterable, Iterator

from loader.dialect import Dialect, decoder
from shared.datasets import MAX_RECORD
from shared.errors import ErrorCode, Rejected

BOM = codecs.BOM_UTF8
MAX_QUOTED = 32 * 1024**2
"""Bytes of one quoted text: so much is held in memory at the most."""
LOOK_BACK = 3
"""Bytes that are seen again: what stands before a quote, and a whole end marker less its line end."""
END_MARKER = re.compile(rb"(?<=[\r\n])\\\.(?=[\r\n])")


class Front:
    r"""Checks and counts one CSV.

    Args:
        dialect: of the dataset.
        line: number of its first line: the header may have been taken off before.
        end_marker: whether a line `\.` is refused, for PostgreSQL before 18.
        max_record: bytes of a record, at the most.
    """

    def __init__(self, dialect: Dialect, line: int = 1, *, end_marker: bool = False, max_record: int = MAX_RECORD) -> None:
        self._dialect = dialect
        self._end_marker = end_marker
        self._max_record = max_record
        self._open = self._open_lines = 0
        self._line = line
        self._within = 0
        self._ends = ""
        self.records = 0
        """So far; of the whole CSV once `passed` has ended."""

    @property
    def lines_are_records(self) -> bool:
        """Whether no record that was counted has more than one line."""
        return not self._within

    @property
    def ends(self) -> str:
        """What ends the records; empty while none was seen to end."""
        return self._ends

    def passed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes in other pieces, none of which ends within quotes or between CR and LF.

        Raises:
            Rejected: `csv_malformed` or `too_large`, with the line.
        """
        # As if behind a line end. Later, what was passed last: quotes and line ends are judged by what stands before them.
        before, rest = b"\n", b""
        for chunk in chunks:
            new = rest + chunk
            end = self._sound_until(before, new)
            piece, rest = new[:end], new[end:]
            if piece:
                self._count(before, piece)
                before = (before + piece)[-LOOK_BACK:]
                yield piece
        if rest:
            self._finish(before, rest)
            yield rest
        elif not before.endswith((b"\r", b"\n")):
            # The last record may lack its line end.
            self.records += 1
            self._look_for_marker(before + b"\n", b"")

    def _sound_until(self, before: bytes, new: bytes) -> int:
        """How many bytes are complete."""
        dialect, buffer = self._dialect, before + new
        if dialect.quote not in new:
            return len(new) - buffer.endswith(b"\r")
        found = dialect.sound.match(buffer, len(before))
        end = found.end() if found else len(before)
        if end == len(buffer):
            # The line end may have a second half.
            return len(new) - buffer.endswith(b"\r")
        if buffer[end - 1 : end] not in (dialect.delimiter, b"\r", b"\n"):
            raise self._malformed(new, end - len(before), "a quote within a field that is not quoted")
        quoted = dialect.quoted.match(buffer, end)
        if quoted and quoted.end() < len(buffer):
            raise self._malformed(new, quoted.end() - len(before), "text behind a closing quote")
        if len(buffer) - end > MAX_QUOTED:
            raise self._malformed(new, end - len(before), f"a quote that is not closed within {MAX_QUOTED} bytes")
        return end - len(before)

    def _finish(self, before: bytes, rest: bytes) -> None:
        """The last piece, which has no line end: as if it had."""
        ended = rest if rest.endswith(b"\r") else rest + (self._ends or "\n").encode()
        found = self._dialect.sound.match(before + ended, len(before))
        end = (found.end() if found else len(before)) - len(before)
        if end < len(ended):
            raise self._malformed(rest, end, "a quote that is not closed")
        self._count(before, ended)

    def _count(self, before: bytes, piece: bytes) -> None:
        self._look_for_marker(before, piece)
        if self._ends == "\n" and self._dialect.quote not in piece and b"\r" not in piece:
            # Nearly every piece of nearly every file.
            count = piece.count(b"\n")
            self._measure(piece)
            self.records += count
            self._line += count
            return
        ended, lines = self._line_ends(piece), lines_in(piece)
        self._measure(piece)
        self.records += ended
        self._line += lines
        self._within += lines - ended

    def _measure(self, piece: bytes) -> None:
        """Bound what PostgreSQL holds of one record: gigabytes without a line end would be the end of PostgreSQL, not of the file."""
        if self._open + len(piece) > self._max_record:
            self._measure_each(piece)
            return
        self._leave_open(piece, self._dialect.records_end(piece))

    def _leave_open(self, piece: bytes, end: int) -> None:
        """Note what of a piece belongs to a record that goes on."""
        size, lines = (self._open, self._open_lines) if not end else (0, 0)
        self._open, self._open_lines = size + len(piece) - end, lines + lines_in(piece[end:])

    def _measure_each(self, piece: bytes) -> None:
        line, end = self._line, self._dialect.records_end(piece)
        begin = line - self._open_lines
        for found in self._dialect.record.finditer(piece, 0, end):
            record = found.group()
            self._check_record(self._open + len(record.rstrip(b"\r\n")), begin)
            self._open = 0
            begin = line = line + lines_in(record)
        self._leave_open(piece, end)
        self._check_record(self._open, begin)

    def _check_record(self, size: int, line: int) -> None:
        if size > self._max_record:
            what = f"line {line}: a record has more than {self._max_record} bytes"
            raise Rejected(ErrorCode.TOO_LARGE, f"{what}: is a line end missing? Correct the file, or max_record_bytes in datasets.toml")

    def _look_for_marker(self, before: bytes, piece: bytes) -> None:
        if self._end_marker and b"\\." in (seen := before + piece) and (found := END_MARKER.search(seen)):
            at = max(found.start() - len(before), 0)
            raise self._malformed(piece, at, r"nothing but \., where PostgreSQL before 18 would stop reading: quote it")

    def _line_ends(self, piece: bytes) -> int:
        """How many records end in a piece, all in the same way."""
        ends = self._dialect.skeleton(piece)
        if not ends:
            return 0
        if not self._ends:
            # Not by the skeleton: there the CR of one record stands beside the LF of the next.
            self._ends = "\r\n" if self._first_end(piece) == b"\r\n" else ends[:1].decode()
        count = ends.count(self._ends.encode())
        if count * len(self._ends) != len(ends) or (self._ends == "\r\n" and not self._all_are_crlf(piece)):
            raise Rejected(ErrorCode.CSV_MALFORMED, f"line {self._first_odd(piece)} ends otherwise than those before it: {_ADVICE}")
        return count

    def _first_end(self, piece: bytes) -> bytes:
        found = self._dialect.record.match(piece)
        record = found.group() if found else b""
        return record[len(record.rstrip(b"\r\n")) :]

    def _all_are_crlf(self, piece: bytes) -> bool:
        """Whether no record ends with half of one."""
        pairs = piece.count(b"\r\n")
        if pairs == piece.count(b"\r") == piece.count(b"\n"):
            return True
        # Cells of more than one line may have LF alone, as spreadsheets write them. Something stays: what stands around must not meet.
        bare = self._dialect.quoted.sub(b"-", piece)
        return bool(bare.count(b"\r\n") == bare.count(b"\r") == bare.count(b"\n"))

    def _first_odd(self, piece: bytes) -> int:
        """Line of the first record whose end is not like the ones before."""
        line = self._line
        for found in self._dialect.record.finditer(piece):
            record = found.group()
            body = record.rstrip(b"\r\n")
            line += lines_in(body)
            if record[len(body) :] != self._ends.encode():
                return line
            line += 1
        return line

    def _malformed(self, new: bytes, position: int, what: str) -> Rejected:
        return Rejected(ErrorCode.CSV_MALFORMED, f"line {self._line + lines_in(new[:position])} has {what}: {_ADVICE}")


_ADVICE = "correct the file, or quote, escape, delimiter and encoding in datasets.toml"


def lines_in(data: bytes) -> int:
    """How many line ends of any kind there are."""
    feeds = data.count(b"\n")
    returns = data.count(b"\r")
    return feeds + returns - (data.count(b"\r\n") if feeds and returns else 0)


def recoded(chunks: Iterator[bytes], dialect: Dialect) -> Iterator[bytes]:
    """The CSV in the encoding that COPY is told, without a byte order mark: it would become part of the first value.

    Raises:
        Rejected: `encoding_invalid`, with the line.
    """
    if not dialect.recoded_from:
        yield from _without_bom(chunks) if dialect.encoding == "utf-8" else chunks
        return
    reader, line, first, behind_cr = decoder(dialect.recoded_from), 1, True, False
    for chunk in _and_then(chunks, b""):
        before = reader.getstate()
        try:
            text = reader.decode(chunk, final=not chunk)
        except UnicodeError as error:
            reader.setstate(before)
            good = _good_part(error, reader, len(before[0]), chunk)
            raise _no_text(good, line - _goes_on(behind_cr, good or ""), dialect.recoded_from) from None
        if text and first:
            text, first = text.removeprefix("\ufeff"), False
        data = text.encode()
        line += lines_in(data) - _goes_on(behind_cr, text)
        if data:
            behind_cr = data.endswith(b"\r")
            yield data


def _goes_on(behind_cr: bool, text: str) -> bool:
    """Whether it begins with the second half of a CRLF: a chunk may end between the two."""
    return behind_cr and text.startswith("\n")


def _good_part(error: UnicodeError, reader: codecs.IncrementalDecoder, held: int, chunk: bytes) -> str | None:
    """What of a chunk is text; None: the decoder lacks the byte order mark, which it asks for with its first two characters only.

    Args:
        error: what the decoder said.
        reader: the decoder, as it was before.
        held: bytes of earlier chunks that it still has.
        chunk: what it was given.
    """
    if not isinstance(error, UnicodeDecodeError):
        return None
    try:
        return reader.decode(chunk[: max(error.start - held, 0)])
    except UnicodeDecodeError:
        return ""
    except UnicodeError:
        return None


def _no_text(good: str | None, line: int, encoding: str) -> Rejected:
    if good is None:
        what = "line 1 has no byte order mark: set encoding in datasets.toml to utf-16-le or utf-16-be"
        return Rejected(ErrorCode.ENCODING_INVALID, what)
    what = f"line {line + lines_in(good.encode())} is not {encoding}"
    return Rejected(ErrorCode.ENCODING_INVALID, f"{what}: correct the file, or `encoding` in datasets.toml")


def _and_then(chunks: Iterable[bytes], last: bytes) -> Iterator[bytes]:
    yield from chunks
    yield last


def _without_bom(chunks: Iterator[bytes]) -> Iterator[bytes]:
    first = b""
    # A first gzip member may be shorter than the mark.
    while len(first) < len(BOM) and (chunk := next(chunks, b"")):
        first += chunk
    if first := first.removeprefix(BOM):
        yield first
    yield from chunks
