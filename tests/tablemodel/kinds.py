"""Kinds of columns: how PostgreSQL calls them, values of theirs as text and as what psycopg makes of them, and texts that are none."""

import ipaddress
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

TYPES = """
DROP TYPE IF EXISTS mood CASCADE; CREATE TYPE mood AS ENUM ('sad', 'so, so', 'it''s "fine"');
DROP DOMAIN IF EXISTS positive CASCADE; CREATE DOMAIN positive AS int CHECK (VALUE > 0);
DROP DOMAIN IF EXISTS short_code CASCADE; CREATE DOMAIN short_code AS varchar(4) CHECK (VALUE <> 'bad');
"""
"""What a database needs for the kinds of the user's own."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of a column."""

    text: str | None
    """As the file says it; None: NULL."""
    seen: str | None
    """As `Kind.seen` shows what psycopg makes of it; None also for JSON's null."""
    image: str | None
    """Equal for what PostgreSQL stores in the same way."""


NULL = Cell(None, None, None)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the text of a value depends on."""

    alphabet: str
    """Characters that the file's encoding has."""
    day: str
    """strftime format of dates."""
    zone: str
    """Of timestamps that name none."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of PostgreSQL's, or of the user's."""

    name: str
    ddl: str
    """With `{column}` for the column's own name, in a check."""
    pairs: Callable[[Surroundings], st.SearchStrategy[tuple[str, Any]]]
    """Texts with the values that they mean."""
    show: Callable[[Any], str] = str
    wrong: tuple[str, ...] = ()
    """Texts that are no value of the type."""
    refused: tuple[str, ...] = ()
    """Values of the type that the table's check refuses."""
    may_be_key: bool = False
    kept_as_text: bool = False
    """Two texts of one value are stored differently."""

    def cells(self, around: Surroundings) -> st.SearchStrategy[Cell]:
        """Random values, without NULL."""
        return self.pairs(around).map(self.cell)

    def cell(self, pair: tuple[str, Any]) -> Cell:
        """A text and its value as a cell."""
        text, value = pair
        # Psycopg makes None of JSON's null, which is not stored as NULL is.
        shown = None if value is None else self.show(value)
        return Cell(text, shown, text if self.kept_as_text or shown is None else shown)

    def seen(self, value: Any) -> str | None:
        """What psycopg has made of a value, comparable."""
        return None if value is None else self.show(value)


def _spelt(values: st.SearchStrategy[Any], *ways: Callable[[Any], str]) -> Callable[[Surroundings], st.SearchStrategy[tuple[str, Any]]]:
    def pairs(_: Surroundings) -> st.SearchStrategy[tuple[str, Any]]:
        return st.tuples(values, st.sampled_from(ways)).map(lambda drawn: (drawn[1](drawn[0]), drawn[0]))

    return pairs


def _integers(bits: int) -> Callable[[Surroundings], st.SearchStrategy[tuple[str, Any]]]:
    values = st.integers(-9, 9) | st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return _spelt(values, str, lambda n: f"{n:+d}", lambda n: f" {n} ", lambda n: f"{n:012d}")


def _cents(text: str) -> tuple[str, Decimal]:
    return text, _unsigned_zero(Decimal(text).quantize(Decimal("0.01"), ROUND_HALF_UP))


def _unsigned_zero(number: Decimal) -> Decimal:
    # PostgreSQL's numeric has one zero only.
    return number or abs(number)


def _texts(most: int | None = None, fill: int = 0) -> Callable[[Surroundings], st.SearchStrategy[tuple[str, Any]]]:
    def pairs(around: Surroundings) -> st.SearchStrategy[tuple[str, Any]]:
        traps = [
            "",
            " ",
            " a ",
            "\\.",
            "\\N",
            "NULL",
            "null",
            "\\",
            '"',
            "'",
            '""',
            "a\nb",
            "a\r\nb",
            "\r",
            "\n",
            "-",
            "a,b",
            "x;y|z\tw",
            "xNULL",
            "a-b",
            "n/a?",
            "x%x",
        ]
        fitting = [trap for trap in traps if most is None or len(trap) <= most]
        free = st.text(st.sampled_from(around.alphabet), max_size=most or 12)
        return (st.sampled_from(fitting) | free).map(lambda text: (text, text.ljust(fill)))

    return pairs


def _days(around: Surroundings) -> st.SearchStrategy[tuple[str, Any]]:
    return st.dates(date(1000, 1, 1)).map(lambda day: (day.strftime(around.day), day))


def _moments(around: Surroundings) -> st.SearchStrategy[tuple[str, Any]]:
    values = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 30))  # noqa: DTZ001 - without zone is the point
    return values.map(lambda moment: (f"{moment.strftime(around.day)} {moment.time().isoformat()}", moment))


def _instants(around: Surroundings) -> st.SearchStrategy[tuple[str, Any]]:
    values = st.datetimes(datetime(1960, 1, 1), datetime(2030, 1, 1))  # noqa: DTZ001 - the zone follows
    offsets = st.none() | st.sampled_from([0, 540, -210])

    def spell(drawn: tuple[datetime, int | None]) -> tuple[str, Any]:
        moment, offset = drawn
        zone = ZoneInfo(around.zone) if offset is None else timezone(timedelta(minutes=offset))
        there = moment.replace(tzinfo=zone)
        sign = "" if offset is None else there.strftime("%z")
        return f"{moment.strftime(around.day)} {moment.time().isoformat()}{sign}", there

    return st.tuples(values, offsets).map(spell)


def _spans(span: timedelta) -> str:
    return f"{span.days} days {span.seconds // 3600:02d}:{span.seconds // 60 % 60:02d}:{span.seconds % 60:02d}.{span.microseconds:06d}"


def _json(around: Surroundings) -> st.SearchStrategy[tuple[str, Any]]:
    words = st.text(st.sampled_from(around.alphabet), max_size=4)
    leaves = st.none() | st.booleans() | st.integers(-9, 9) | words
    values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2), max_leaves=4)
    ways = st.sampled_from([{"indent": None}, {"indent": 1}])
    return st.tuples(values, ways).map(lambda drawn: (json.dumps(drawn[0], ensure_ascii=False, **drawn[1]), drawn[0]))


def _numbers(numbers: list[int | None]) -> str:
    return "{" + ",".join("NULL" if n is None else str(n) for n in numbers) + "}"


def _words(around: Surroundings) -> st.SearchStrategy[tuple[str, Any]]:
    values = st.lists(st.none() | st.text(st.sampled_from(around.alphabet), max_size=4), max_size=3)

    def quoted(word: str | None) -> str:
        return "NULL" if word is None else '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return values.map(lambda words: ("{" + ",".join(map(quoted, words)) + "}", words))


def _single(number: float) -> str:
    return repr(struct.unpack("f", struct.pack("f", number))[0])


def _address(address: Any) -> str:
    # Psycopg makes plain addresses of single hosts, interfaces of others.
    return str(ipaddress.ip_interface(str(address)))


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


_BOOLEANS: Mapping[str, bool] = {
    "t": True,
    "true": True,
    "YES": True,
    "on": True,
    "1": True,
    "f": False,
    "False": False,
    "no": False,
    "0": False,
}
_ADDRESSES = ["10.0.0.1", "10.1.0.0/16", "::1", "2001:db8::/32", "192.168.0.7/24"]
_CENTS = st.decimals(Decimal(-9999), Decimal(9999), places=3).map(lambda value: _cents(f"{value:f}"))

KINDS = tuple(
    Kind(**said)  # type: ignore[arg-type]
    for said in (
        {"name": "int2", "ddl": "smallint", "pairs": _integers(16), "wrong": ("32768", "x"), "may_be_key": True},
        {"name": "int4", "ddl": "int", "pairs": _integers(32), "wrong": ("1.5", "2147483648", " "), "may_be_key": True},
        {"name": "int8", "ddl": "bigint", "pairs": _integers(64), "wrong": ("1e", "9" * 20), "may_be_key": True},
        {
            "name": "numeric",
            "ddl": "numeric",
            "pairs": _spelt(st.decimals(-(10**9), 10**9).map(_unsigned_zero), "{:f}".format),
            "wrong": ("1,5", "--1"),
        },
        {"name": "cents", "ddl": "numeric(6, 2)", "pairs": lambda _: _CENTS, "wrong": ("10000", "1.2.3"), "may_be_key": True},
        {"name": "real", "ddl": "real", "pairs": _spelt(st.floats(width=32), repr), "show": _single, "wrong": ("1e99", "x")},
        {"name": "double", "ddl": "double precision", "pairs": _spelt(st.floats(), repr), "show": repr, "wrong": ("1e999", "0x")},
        {"name": "text", "ddl": "text", "pairs": _texts(), "may_be_key": True},
        {"name": "varchar", "ddl": "varchar(5)", "pairs": _texts(5), "wrong": ("abcdef", "ab\ncde"), "may_be_key": True},
        {"name": "char", "ddl": "char(4)", "pairs": _texts(4, 4), "wrong": ("abcde",)},
        {"name": "bool", "ddl": "boolean", "pairs": lambda _: st.sampled_from([*_BOOLEANS.items()]), "wrong": ("2", "maybe")},
        {"name": "date", "ddl": "date", "pairs": _days, "wrong": ("2026-02-30", "x\ny"), "may_be_key": True},
        {"name": "time", "ddl": "time", "pairs": _spelt(st.times(), time.isoformat), "wrong": ("25:00",)},
        {"name": "timestamp", "ddl": "timestamp", "pairs": _moments, "wrong": ("2026-02-30 00:00",)},
        {"name": "timestamptz", "ddl": "timestamptz", "pairs": _instants, "show": _instant, "wrong": ("noon",), "may_be_key": True},
        {
            "name": "interval",
            "ddl": "interval",
            "pairs": _spelt(st.timedeltas(timedelta(-999), timedelta(999)), _spans),
            "show": repr,
            "wrong": ("1 dy",),
        },
        {
            "name": "uuid",
            "ddl": "uuid",
            "pairs": _spelt(st.uuids(), str, lambda u: str(u).upper(), lambda u: u.hex),
            "wrong": ("a-b",),
            "may_be_key": True,
        },
        {
            "name": "json",
            "ddl": "json",
            "pairs": _json,
            "show": lambda v: json.dumps(v, sort_keys=True),
            "wrong": ("{", "'a'"),
            "kept_as_text": True,
        },
        {"name": "jsonb", "ddl": "jsonb", "pairs": _json, "show": lambda v: json.dumps(v, sort_keys=True), "wrong": ("{,}", "[")},
        {
            "name": "bytea",
            "ddl": "bytea",
            "pairs": _spelt(st.binary(max_size=9), lambda b: f"\\x{b.hex()}"),
            "show": repr,
            "wrong": ("\\x1",),
        },
        {
            "name": "inet",
            "ddl": "inet",
            "pairs": _spelt(st.sampled_from([*map(ipaddress.ip_interface, _ADDRESSES)]), str),
            "show": _address,
            "wrong": ("1.2.3",),
        },
        {
            "name": "numbers",
            "ddl": "int[]",
            "pairs": _spelt(st.lists(st.none() | st.integers(-9, 9), max_size=3), _numbers),
            "wrong": ("{1", "{x}"),
        },
        {"name": "words", "ddl": "text[]", "pairs": _words, "show": repr, "wrong": ("{", 'a,"b"')},
        {
            "name": "mood",
            "ddl": "mood",
            "pairs": _spelt(st.sampled_from(["sad", "so, so", 'it\'s "fine"']), str),
            "wrong": ("SAD", "it's"),
            "may_be_key": True,
        },
        {"name": "positive", "ddl": "positive", "pairs": _spelt(st.integers(1, 99), str), "wrong": ("0", "x")},
        {"name": "short", "ddl": "short_code", "pairs": _texts(4), "wrong": ("bad", "abcde")},
        {
            "name": "checked",
            "ddl": "int CHECK ({column} >= 0)",
            "pairs": _spelt(st.integers(0, 99), str),
            "wrong": ("x",),
            "refused": ("-1",),
        },
    )
)
BY_NAME = {kind.name: kind for kind in KINDS}
INTEGER, TEXT = BY_NAME["int4"], BY_NAME["text"]
