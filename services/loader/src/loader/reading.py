"""How a file is read, and which line of it is meant."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from loader import front, header, records
from loader.dialect import Dialect
from loader.header import Header
from loader.records import Sieve, WrongRecord, ragged, readable
from loader.source import Source
from shared import datasets
from shared.datasets import Dataset


@dataclass(frozen=True, slots=True)
class Reading:
    """A file and how it is read.

    Attributes:
        dataset: its options.
        open: the CSV from its start, each time anew.
        tolerant: whether wrong records are put aside.
        careful: record by record.
    """

    dataset: Dataset
    open: Callable[[], Source]
    tolerant: bool = False
    careful: bool = False

    @property
    def numbered(self) -> bool:
        """Whether each row is to know its line."""
        return self.careful or bool(self.dataset.line_column)

    def begin(self, source: Source) -> tuple[Header, Iterator[bytes]]:
        """The header, from the file or from datasets.toml, and the CSV from the first data record on.

        Raises:
            Rejected: whatever is wrong with either.
        """
        dialect = Dialect.of(self.dataset)
        chunks = front.recoded(source.chunks(), dialect)
        if self.dataset.header is datasets.Header.NONE:
            return Header(self.dataset.columns, 0), chunks
        return header.split(chunks, dialect)

    def find(self, lines: Collection[int]) -> Iterator[tuple[int, bytes]]:
        """The records that begin at these lines: where, and their bytes."""
        records_, first = self.whole()
        return records.find(records_, Dialect.of(self.dataset), first, lines)

    def walk(self) -> Iterator[tuple[int, bytes]]:
        """All records: where each begins, and its bytes."""
        records_, first = self.whole()
        return records.walk(records_, Dialect.of(self.dataset), first)

    def whole(self) -> tuple[Iterator[bytes], int]:
        """Whole records by pieces, and the number of the first one's first line."""
        dialect = Dialect.of(self.dataset)
        head, chunks = self.begin(self.open())
        return records.whole(front.Front(dialect, head.lines + 1).passed(chunks), dialect), head.lines + 1


@dataclass(frozen=True, slots=True)
class Lines:
    """From COPY's lines to the file's.

    COPY knows nothing of the header and of what the sieve held back, and counts in its own way: one for each record, and in quotes one
    for each LF where LF ends records, else for each CR; before it saw the first record end, CR (CopyReadLineText in copyfromparse.c).
    What it says of a record is said with the number that it has come to at its end.

    Attributes:
        reading: the file.
        checks: what it passed.
        sieve: what held some of it back.
        header: lines of it.
        width: fields that a record must have.
    """

    reading: Reading
    checks: front.Front
    sieve: Sieve
    header: int
    width: int

    def of(self, copied: int) -> int:
        """Where the record begins that has this line."""
        [begin] = self._begins([copied])
        return begin

    def of_all(self, wrong: list[WrongRecord]) -> list[WrongRecord]:
        """The same for many, ascending."""
        begins = self._begins([record.line for record in wrong])
        dialect, found = Dialect.of(self.reading.dataset), dict(self.reading.find(set(begins)))
        return [self._judged(replace(record, line=begin), found.get(begin), dialect) for record, begin in zip(wrong, begins, strict=True)]

    def ragged(self, begin: int) -> WrongRecord | None:
        """The record that begins there, if it has too few or too many fields: COPY may speak of a value first."""
        for _, record in self.reading.find({begin}):
            count = Dialect.of(self.reading.dataset).fields(record)
            return ragged(begin, count, self.width) if count != self.width else None
        return None

    def _judged(self, wrong: WrongRecord, record: bytes | None, dialect: Dialect) -> WrongRecord:
        if record is None:
            return wrong
        count, raw = dialect.fields(record), readable(record, dialect)
        return replace(wrong if count == self.width else ragged(wrong.line, count, self.width), raw=raw)

    def _begins(self, copied: list[int]) -> list[int]:
        if self.checks.lines_are_records or not copied:
            return [self.sieve.line_of(line + self.header) for line in copied]
        counted = self._counted()
        begin, reached = 0, 0
        begins = []
        for line in copied:
            while reached < line and (step := next(counted, None)) is not None:
                reached, begin = step
            begins.append(begin)
        return begins

    def _counted(self) -> Iterator[tuple[int, int]]:
        """For each record that COPY got: what it had counted at its end, and where in the file it begins."""
        dropped, count, end = self.sieve.dropped, 0, b"\r"
        for begin, record in self.reading.walk():
            if begin not in dropped:
                count += 1 + record.rstrip(b"\r\n").count(end)
                end = b"\n" if self.checks.ends in {"", "\n"} else b"\r"
                yield count, begin
