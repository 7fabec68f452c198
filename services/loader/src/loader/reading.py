"""How a file is read, or the files of a group, and which line is meant."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple, Self

from loader import front, header, places, records
from loader.dialect import Dialect
from loader.header import Header
from loader.records import Sieve, WrongRecord, ragged, readable
from loader.source import Source
from shared import datasets
from shared.contract import FileRef
from shared.datasets import Dataset


class Version(NamedTuple):
    """Which object version it is: the ledger's key."""

    bucket: str
    key: str
    version_id: str

    @classmethod
    def of(cls, file: FileRef) -> Self:
        """Of a file that was announced."""
        return cls(file.bucket, file.key, file.version_id)


@dataclass(frozen=True, slots=True)
class Reading:
    """A file and how it is read. Its lines are told as places.

    Attributes:
        dataset: its options.
        open: the CSV from its start, each time anew.
        version: which file it is.
        part: of a group, from 1; 0 where it is a file by itself.
        tolerant: whether wrong records are put aside.
        careful: record by record.
        declared_rows: how many records its sender counted.
    """

    dataset: Dataset
    open: Callable[[], Source]
    version: Version
    part: int = 0
    tolerant: bool = False
    careful: bool = False
    declared_rows: int | None = None

    @property
    def numbered(self) -> bool:
        """Whether each row is to know its line."""
        # In a group it tells the part, and so the file.
        return self.careful or bool(self.dataset.line_column) or bool(self.part and self.dataset.file_column)

    @property
    def first(self) -> int:
        """What makes a place of a line."""
        return places.first(self.part)

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
        """Whole records by pieces, and the place of the first one."""
        dialect = Dialect.of(self.dataset)
        head, chunks = self.begin(self.open())
        checks = front.Front(dialect, head.lines + 1, max_record=self.dataset.max_record_bytes)
        return records.whole(checks.passed(chunks), dialect), self.first + head.lines + 1


@dataclass(frozen=True, slots=True)
class Readings:
    """What is loaded together: one file, or the parts of a group in their order."""

    parts: tuple[Reading, ...]

    @property
    def dataset(self) -> Dataset:
        """The options of all."""
        return self.parts[0].dataset

    @property
    def tolerant(self) -> bool:
        """Whether wrong records are put aside."""
        return self.parts[0].tolerant

    @property
    def careful(self) -> bool:
        """Whether it is read record by record."""
        return self.parts[0].careful

    def changed(self, **how: Any) -> Self:
        """The same read in another way, see `Reading`."""
        return replace(self, parts=tuple(replace(part, **how) for part in self.parts))

    def at(self, place: int) -> Reading:
        """The file that has a place."""
        return self.parts[max(places.part(place) - 1, 0)]

    def find(self, begins: Collection[int]) -> Iterator[tuple[int, bytes]]:
        """The records that begin at these places: where, and their bytes."""
        for part in self.parts:
            if mine := {place for place in begins if places.part(place) == part.part}:
                yield from part.find(mine)

    def walk(self) -> Iterator[tuple[int, bytes]]:
        """All records: where each begins, and its bytes."""
        return chain.from_iterable(part.walk() for part in self.parts)


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
        header: lines of it, as what is added to a line.
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
        """The same for many, ascending. A record that the sieve let pass has all its fields: its text is for who needs it to read."""
        begins = self._begins([record.line for record in wrong])
        if self.reading.numbered:
            return [replace(record, line=begin) for record, begin in zip(wrong, begins, strict=True)]
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
