"""Files as bytes: written field by field with Python's own csv, encoded with its codecs."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tablemodel.kinds import Cell

SAMPLE = (
    "abzAZ019 _-+*/=<>()[]{}#%&@$^`~?!.,;:|\\\"'\t\x01\x0b\x0c\x1a\x1c\x1f\x7f"
    "\x85\xa0éßñ€ŒŽ£¥§°±×÷\u2028\u2029\ufeff\u200b–—…™"
    "ポタミアソ表能予十申構貼暴─┐ーｱｲﾞ。、「」あいうイウ漢字髙﨑①②㈱№℡Ⅲ～―‖－￠￡￢\u301c\u2212"
    "가각한글한中文简体繁體許功蓋的们，。𠮷😀\u0301\u1f600"
)
"""Characters that have done harm before: trail bytes that are ASCII, several mappings, no mapping, line ends to someone else."""
UTF16 = {"utf-16": "utf-16-le", "utf-16-le": "utf-16-le", "utf-16-be": "utf-16-be"}
INVALID = {"utf-8": b"\xff", "cp932": b"\x81 ", "euc_jp": b"\xff"}
"""Bytes that are no text. Known: of cp932's, only those that Python's codec refuses as well are put aside."""
OTHERWISE = {"euc_jp": "¢£¦¬‖\u2212\u301c"}
"""Known: characters of a codec whose bytes PostgreSQL takes for others (it has the mapping of CP932)."""
LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a dataset's files are spelt."""

    delimiter: str
    quote: str
    escape: str
    nulls: tuple[str, ...]
    encoding: str

    @property
    def codec(self) -> str:
        """Without byte order mark."""
        return UTF16.get(self.encoding, self.encoding)

    @property
    def encoded_by_us(self) -> bool:
        """PostgreSQL is given the very bytes of the file."""
        plain = max(self.delimiter, self.escape) < "@"
        return self.encoding not in UTF16 and (plain or self.encoding not in {"cp932", "gb18030", "gbk", "big5"})

    def field(self, text: str | None, *, alone: bool, quoted: bool = False) -> str:
        """One field."""
        if text is None:
            # Any of them, without a die of its own.
            return self.nulls[-1 if quoted else 0]
        special = {self.delimiter, self.quote, self.escape, "\r", "\n"}
        needed = text in self.nulls or any(character in special for character in text) or (alone and text in {"", "\\."})
        return self._quoted(text) if quoted or needed else text

    def _quoted(self, text: str) -> str:
        written = io.StringIO(newline="")
        doubled = self.escape == self.quote
        csv.writer(
            written,
            delimiter=self.delimiter,
            quotechar=self.quote,
            doublequote=doubled,
            escapechar=None if doubled else self.escape,
            quoting=csv.QUOTE_ALL,
            lineterminator="",
        ).writerow([text])
        return written.getvalue()


def alphabet(encoding: str) -> str:
    """Those of the sample that an encoding has."""
    return "".join(character for character in SAMPLE if _has(encoding, character) and character not in OTHERWISE.get(encoding, ""))


def _has(encoding: str, text: str) -> bool:
    try:
        return text.encode(encoding).decode(encoding) == text
    except UnicodeError:
        return False


@dataclass(frozen=True, slots=True)
class Line:
    """A record as it is written."""

    fields: tuple[str, ...]
    broken: int | None = None
    """Position of the field that holds bytes that are no text."""


def record(dialect: Dialect, cells: Sequence[Cell], quoting: int, broken: int | None = None) -> Line:
    """A record whose field n is quoted, needed or not, if bit n of quoting says so."""
    alone = len(cells) == 1
    return Line(tuple(dialect.field(cell.text, alone=alone, quoted=bool(quoting >> n & 1)) for n, cell in enumerate(cells)), broken)


@dataclass(frozen=True, slots=True)
class Written:
    """A file."""

    content: bytes
    begins: tuple[int, ...]
    """Line on which each data record begins."""
    raw: tuple[str, ...]
    """Each data record's text."""


def write(dialect: Dialect, header: Line | None, records: Sequence[Line], end: str, *, bom: bool, last_end: bool) -> Written:
    """Put records together."""
    pieces, begins, texts, line = [], [], [], 1
    for number, one in enumerate([*([header] if header else []), *records]):
        text = dialect.delimiter.join("x" if position == one.broken else field for position, field in enumerate(one.fields))
        begins.append(line)
        texts.append(text)
        line += len(LINE_END.findall(text)) + 1
        # Nothing but a NULL without a line end would be no record.
        ended = last_end or number < len(records) - (header is None) or not text
        pieces.append(_encoded(dialect, one) + (end if ended else "").encode(dialect.codec))
    skipped = 1 if header else 0
    return Written(_mark(dialect, bom=bom) + b"".join(pieces), tuple(begins[skipped:]), tuple(texts[skipped:]))


def _encoded(dialect: Dialect, line: Line) -> bytes:
    fields = [field.encode(dialect.codec) for field in line.fields]
    if line.broken is not None:
        fields[line.broken] = b"x" + INVALID[dialect.encoding] + b"x"
    return dialect.delimiter.encode(dialect.codec).join(fields)


def _mark(dialect: Dialect, *, bom: bool) -> bytes:
    if dialect.encoding == "utf-16":
        return codecs.BOM_UTF16_LE
    marks = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
    return marks.get(dialect.encoding, b"") if bom else b""
