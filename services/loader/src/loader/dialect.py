"""A dataset's dialect of CSV as bytes and patterns (RFC 4180, and what PostgreSQL's COPY makes of it)."""

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache

from shared.datasets import Dataset

EMBEDS_ASCII = frozenset({"cp932", "gb18030", "gbk", "big5"})
"""Encodings whose characters may hold bytes from 0x40 to 0x7E: an `|` among them is no delimiter, a backslash no escape."""
FIRST_AMBIGUOUS = 0x40
LOOKS_BACK = 32
"""Line ends that are looked at, from the last one on, for one that is not within quotes, before all of a piece is looked at."""
UTF16 = frozenset({"utf-16", "utf-16-le", "utf-16-be"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to tell fields and records apart in what COPY gets.

    All patterns are of bytes. Quotes and line ends are below 0x40, which no encoding that we take uses within a character.
    """

    delimiter: bytes
    quote: bytes
    escape: bytes
    encoding: str
    """Of what COPY gets, as Python names it."""
    recoded_from: str
    """The file's encoding, where PostgreSQL can't be given it as it is; else empty."""
    sound: re.Pattern[bytes]
    """As much as has every quote in its place, from a position behind a delimiter or line end, as far as it has an end."""
    quoted: re.Pattern[bytes]
    """From an opening quote to its closing one."""
    record: re.Pattern[bytes]
    """A sound record with its line end."""
    records: re.Pattern[bytes]
    """As many of them as there are."""
    nulls: re.Pattern[bytes] | None
    """Unquoted fields that mean NULL besides the first such text, and quoted text, which is only to be passed over."""
    null: bytes
    inner: re.Pattern[bytes]
    """Quoted text in what `skeleton` leaves over of sound records."""
    kept: bytes
    """Bytes that `skeleton` drops: all but quotes and line ends."""

    @classmethod
    def of(cls, dataset: Dataset) -> "Dialect":
        """The dialect that a dataset's options describe."""
        return _dialect(dataset.delimiter, dataset.quote, dataset.escape or dataset.quote, dataset.encoding, dataset.null)

    def skeleton(self, sound: bytes) -> bytes:
        """Nothing but the line ends that end records, of any number of sound bytes that do not begin or end within quotes."""
        if self.quote not in sound:
            return sound.translate(None, self.kept)
        if self.escape != self.quote:
            return self.quoted.sub(b"", sound).translate(None, self.kept)
        # What is left of a doubled quote, or of quoted text without line ends, is two quotes side by side.
        return self.inner.sub(b"", sound.translate(None, self.kept).replace(self.quote * 2, b""))

    def records_end(self, sound: bytes) -> int:
        """Where the last record ends of sound bytes that do not begin or end within quotes; 0 where none does."""
        feed, upto, quotes = sound.rfind(b"\n"), len(sound), 0
        back = sound.rfind(b"\r")
        for _ in range(LOOKS_BACK if self.escape == self.quote else 0):
            end = max(feed, back)
            if end < 0:
                return 0
            quotes += sound.count(self.quote, end, upto)
            if quotes % 2 == 0:
                return end + 1
            upto = end
            feed = sound.rfind(b"\n", 0, end) if feed == end else feed
            back = sound.rfind(b"\r", 0, end) if back == end else back
        found = self.records.match(sound)
        return found.end() if found else 0

    def fields(self, record: bytes) -> int:
        """How many fields a sound record has."""
        bare = self.quoted.sub(b"", record) if self.quote in record else record
        return bare.count(self.delimiter) + 1


@lru_cache(maxsize=64)
def _dialect(delimiter: str, quote: str, escape: str, encoding: str, null: tuple[str, ...]) -> Dialect:
    recode = encoding in UTF16 or (encoding in EMBEDS_ASCII and ord(max(delimiter, escape)) >= FIRST_AMBIGUOUS)
    # The empty text comes first: a pattern for it would match everywhere. Which one COPY is told makes no difference.
    null = tuple(sorted(null, key=bool))
    # COPY is told the same for both.
    copied = "utf-8" if recode or encoding == "ascii" else encoding
    d, q, e = delimiter.encode(), quote.encode(), escape.encode()
    parts = {b"QUOTED": _quoted(q, e), b"EDGE": b"[" + re.escape(d) + rb"\r\n]", b"END": rb"(?:\r\n|\r|\n)", b"Q": q}
    record = rb"(?>[^Q\r\n]*+(?>QUOTED[^Q\r\n]*+)*+)END"
    nulls = b"|".join(re.escape(each.encode(copied)) for each in null[1:])
    return Dialect(
        delimiter=d,
        quote=q,
        escape=e,
        encoding=copied,
        recoded_from=encoding if recode else "",
        sound=_pattern(rb"(?>[^Q]*+(?<=EDGE)QUOTED(?=EDGE))*+[^Q]*+", parts),
        quoted=_pattern(b"QUOTED", parts),
        record=_pattern(record, parts),
        records=_pattern(b"(?>" + record + b")*+", parts),
        nulls=_pattern(b"(QUOTED)|(?:(?<=EDGE)|^)(?:NULLS)(?=EDGE|$)", parts | {b"NULLS": nulls}) if len(null) > 1 else None,
        null=null[0].encode(copied),
        inner=_pattern(b"Q[^Q]*+Q", parts),
        kept=bytes(byte for byte in range(256) if bytes([byte]) not in (q, b"\r", b"\n")),
    )


def _pattern(template: bytes, parts: dict[bytes, bytes]) -> re.Pattern[bytes]:
    """Words in capitals stand for parts, the longer ones first."""
    return re.compile(re.sub(b"QUOTED|EDGE|END|NULLS|Q", lambda word: parts[word[0]], template))


def _quoted(q: bytes, e: bytes) -> bytes:
    template = b"Q[^Q]*+(?>QQ[^Q]*+)*+Q" if e == q else rb"Q[^QE]*+(?>E[\s\S][^QE]*+)*+Q"
    return template.replace(b"E", re.escape(e)).replace(b"Q", q)


def decoder(encoding: str) -> codecs.IncrementalDecoder:
    """An incremental decoder that stops at the first byte that is no text."""
    return codecs.getincrementaldecoder(encoding)("strict")
