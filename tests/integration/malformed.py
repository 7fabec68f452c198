"""The catalogue of malformed CSVs: each file as bytes, its table, its dataset's options, and what the ledger has to say of it.

Line numbers are those that an editor shows, of where the bad record begins. Every file holds the canary, which must never be repeated.

PYTEST_DONT_REWRITE: test modules import this before it could be rewritten.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from typing import TypedDict, Unpack

CANARY = "4929-CANARY"
BLANK = "\n"
"""As `raw`: a line with nothing in it."""
MEBI = 1024**2


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A malformed file and what has to become of it.

    Attributes:
        content: the CSV; with `packed`, what is decrypted.
        code: the error_code.
        line: the first line that the error names; None: it names none.
        column: the column that the error names; empty: it names none.
        said: a piece of the error.
        table: definition of the table's columns; empty: there is no table.
        before: SQL before the table is made, `{t}` is its name.
        more: SQL after that.
        options: of the dataset, as TOML, `{t}` is the table's name.
        raw: text of the one bad record, where single rows can be told from good ones; empty: the file as a whole is bad.
        tolerated_code: the error_code of that record, where it is another one.
        good: positive keys of the records that load, where bad ones are tolerated.
    """

    content: bytes
    code: str
    line: int | None = None
    column: str = ""
    said: str = ""
    table: str = "id int PRIMARY KEY, v text, note text"
    before: str = ""
    more: str = ""
    options: str = ""
    packed: bool = False
    raw: str = ""
    tolerated_code: str = ""
    good: tuple[int, ...] = (1, 2, 3)

    def script(self, name: str) -> str:
        """SQL that makes the table."""
        before = f"{self.before};" if self.before else ""
        table = f"CREATE TABLE {{t}} ({self.table});" if self.table else ""
        return f"{before}{table}{self.more}".replace("{t}", name)

    def entry(self, name: str, more: str = "") -> str:
        """Of datasets.toml."""
        return f"[datasets.{name}]\n{self.options.replace('{t}', name)}\n{more}\n"


def place_of(error: object) -> tuple[int | None, str]:
    """The first line and column that an error names."""
    line = re.search(r"line (\d+)", str(error))
    column = re.search(r"line \d+, column (\S+) \(", str(error))
    return (int(line[1]) if line else None), (column[1] if column else "")


def file(*records: str, head: str = "id,v,note", end: str = "\n", encoding: str = "utf-8") -> bytes:
    """A CSV of these records."""
    return (end.join((head, *records)) + end).encode(encoding)


def among_good(bad: bytes, good: str, end: str = "\n") -> bytes:
    """A record in line 5: the header, a good record of one line and one of two lines are before it, a good one is behind it."""
    before = file(f"1,{good},{CANARY}", f'2,{good},"{CANARY}\nhas two lines"', end=end)
    return before + bad + f"{end}3,{good},{CANARY}{end}".encode()


class More(TypedDict, total=False):
    """What a helper below passes on to `Bad`."""

    column: str
    table: str
    before: str
    more: str
    options: str
    packed: bool
    raw: str
    tolerated_code: str


def value(kind: str, bad: str, said: str, good: str = "", code: str = "value_invalid", **more: Unpack[More]) -> Bad:
    """A record whose value is not for the column `v` of this type."""
    record = f"66,{bad},{CANARY}"
    told: More = {"column": "v", "raw": record, "table": f"id int PRIMARY KEY, v {kind}, note text", **more}
    return Bad(content=among_good(record.encode(), good), code=code, line=5, said=said, **told)


def refused(kind: str, said: str, bad: str = "66", code: str = "constraint_violated", **more: Unpack[More]) -> Bad:
    """A record of right values that the table refuses."""
    told: More = {"column": "", **more}
    return value(kind, bad, said, code=code, **told)


def odd(bad: bytes, code: str, said: str, end: str = "\n", **more: Unpack[More]) -> Bad:
    """A record that is wrong as a record."""
    told: More = {"raw": bad.decode("utf-8", "backslashreplace").replace("\0", "\\x00"), **more}
    return Bad(content=among_good(bad, "x", end), code=code, line=5, said=said, **told)


def whole(content: bytes, code: str, said: str, line: int | None = None, **more: Unpack[More]) -> Bad:
    """A file that is wrong as a whole."""
    return Bad(content=content, code=code, line=line, said=said, **more)


NO_TYPE, RANGE, LONG = "is not a value of the column's type", "is out of the range", "is too long for the column"
NO_DATE, NO_DAY = "is not a date or time that PostgreSQL reads", "is not a date or time that exists"
GOOD = f"1,x,{CANARY}"
TRIGGER = """
CREATE FUNCTION {t}() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF NEW.v = 66 THEN RAISE EXCEPTION 'no % %', NEW.v, NEW.note USING ERRCODE = '%s'; END IF; RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION {t}();
"""
POLICY = "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON {t} USING (true) WITH CHECK (v IS NULL);"
OTHER = "CREATE TABLE {t}_o (id int PRIMARY KEY)"
BACKSLASH = "escape = '\\'"

VALUES = {
    "int2 too large": value("int2", "40000", RANGE),
    "int4 too large": value("int4", "2147483648", RANGE),
    "int8 too small": value("int8", "-9223372036854775809", RANGE),
    "numeric too large": value("numeric(6,2)", "99999.99", RANGE),
    "float4 too large": value("float4", "1e99", RANGE),
    "text for a number": value("int", CANARY, NO_TYPE),
    "a fraction for an int": value("int", "1.5", NO_TYPE),
    "quoted nothing for a number": value("int", '""', NO_TYPE),
    "full-width digits": value("int", "１２", NO_TYPE),
    "full-width minus": value("int", "－1", NO_TYPE),
    "minus sign of typographers": value("numeric", "−1", NO_TYPE),
    "thousands separator": value("numeric", '"1,000"', NO_TYPE),
    "decimal comma": value("numeric", '"1,5"', NO_TYPE),
    "currency": value("numeric", "¥100", NO_TYPE),
    "a day that is not": value("date", "2026-02-30", NO_DAY),
    "day first": value("date", "31/12/2026", NO_DAY),
    "day zero": value("date", "0000-00-00", NO_DAY),
    "no date": value("date", CANARY, NO_DATE),
    "Japanese era": value("date", "令和8年11月25日", NO_DATE),
    "hour 25": value("timestamp", "2026-01-01 25:00", NO_DAY),
    "unknown zone": value("timestamptz", f"2026-01-01 00:00 {CANARY}", NO_DATE),
    "interval": value("interval", CANARY, NO_DATE),
    "varchar too long": value("varchar(3)", "abcd", LONG),
    "char too long": value("char(3)", "abcd", LONG),
    "bit too short": value("bit(3)", "10", "has a value that the table can't take"),
    "uuid": value("uuid", CANARY, NO_TYPE),
    "json": value("json", "{" + CANARY, NO_TYPE),
    "jsonb": value("jsonb", '"{""a"": "', NO_TYPE),
    "jsonb with half a surrogate": value("jsonb", r'"""\ud800"""', NO_TYPE),
    "bool": value("bool", "maybe", NO_TYPE),
    "inet": value("inet", "10.0.0.256", NO_TYPE),
    "bytea": value("bytea", r"\xZZ", "v (bytea)"),
    "array": value("int[]", '"{1,x}"', NO_TYPE),
    "range upside down": value("int4range", '"[5,1)"', "has a value that the table can't take"),
    "point": value("point", "1", NO_TYPE),
}
REFUSED = {
    "nothing where a value is required": value(
        "text NOT NULL", "", "has no value where the table requires one", "x", "constraint_violated"
    ),
    "no key": Bad(
        content=among_good(f",x,{CANARY}".encode(), "x"),
        code="constraint_violated",
        line=5,
        column="id",
        raw=f",x,{CANARY}",
        said="has no value",
    ),
    "check": refused("int CHECK (v < 9)", "breaks a check of the table (constraint"),
    "check of a number that is none": refused("numeric CHECK (v <> 'NaN')", "breaks a check of the table (constraint", bad="NaN"),
    "check of a float that is none": refused("float8 CHECK (v < 'Infinity')", "breaks a check", bad="NaN"),
    "unique": refused("int UNIQUE", "is there already, where the table allows it once", more="INSERT INTO {t} VALUES (-1, 66)"),
    "foreign key": refused("int REFERENCES {t}_o", "refers to a row that does not exist", before=OTHER),
    "deferred foreign key": refused(
        "int REFERENCES {t}_o DEFERRABLE INITIALLY DEFERRED", "refers to a row that does not exist", before=OTHER
    ),
    "exclusion": refused(
        "int4range, EXCLUDE USING gist (v WITH &&)",
        "breaks a constraint of the table",
        bad='"[6,9)"',
        more="INSERT INTO {t} VALUES (-1, '[1,9)')",
    ),
    "trigger": refused("int", "was refused by a trigger of the table", more=TRIGGER.replace("%s", "P0001")),
    "trigger with a code of its own": refused("int", "was refused by a trigger", more=TRIGGER.replace("%s", "45000")),
    "row-level security": refused("int", "row-level security", more=POLICY),
    "generated value": refused("int, made int GENERATED ALWAYS AS (1 / (66 - v)) STORED", "has a value", code="value_invalid"),
    "too large for an index": refused(
        "text",
        "is too large",
        bad="".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(100)),
        more="CREATE INDEX ON {t} (v)",
        code="value_invalid",
    ),
}
OWN_TYPES = {
    "enum": value("{t}_kind", CANARY, NO_TYPE, before="CREATE TYPE {t}_kind AS ENUM ('a')"),
    "domain": value(
        "{t}_kind",
        "66",
        "breaks a check",
        code="constraint_violated",
        tolerated_code="value_invalid",
        before="CREATE DOMAIN {t}_kind AS int CHECK (VALUE < 9)",
    ),
    "domain without nothing": value(
        "{t}_kind",
        "",
        "has no value",
        "1",
        "constraint_violated",
        tolerated_code="value_invalid",
        before="CREATE DOMAIN {t}_kind AS int NOT NULL",
    ),
}
PARTS = "id int NOT NULL, v int, note text, PRIMARY KEY (id)) PARTITION BY RANGE (id"
RECORDS = {
    "too few fields": odd(f"66,{CANARY}".encode(), "csv_malformed", "fields"),
    "too many fields": odd(f"66,x,{CANARY},{CANARY}".encode(), "csv_malformed", "fields"),
    "trailing delimiter": odd(f"66,x,{CANARY},".encode(), "csv_malformed", "fields"),
    "decimal comma without quotes": odd(f"66,1,5,{CANARY}".encode(), "csv_malformed", "fields"),
    "another delimiter in one record": odd(f"66;x;{CANARY}".encode(), "csv_malformed", "fields"),
    "blank line in the middle": odd(b"", "csv_malformed", "fields", raw=BLANK),
    "blank line in the middle, crlf": odd(b"", "csv_malformed", "fields", end="\r\n", raw=BLANK),
    "line of spaces": odd(b"   ", "csv_malformed", "fields"),
    "comment": odd(f"# {CANARY}".encode(), "csv_malformed", "fields"),
    "NUL": odd(f"66,a\0b,{CANARY}".encode(), "encoding_invalid", ""),
    "cp932 in utf-8": odd(f"66,座布団,{CANARY}".encode("cp932"), "encoding_invalid", "", raw=rf"66,\x8d\xc0\x95z\x92c,{CANARY}"),
    "latin 1 in utf-8": odd(f"66,café,{CANARY}".encode("latin-1"), "encoding_invalid", "", raw=rf"66,caf\xe9,{CANARY}"),
    "half a character at a field's end": odd(b"66,\xe5\xba," + CANARY.encode(), "encoding_invalid", ""),
    "half a character at a line's end": odd(f"66,{CANARY},".encode() + b"\xe5\xba", "encoding_invalid", ""),
    "surrogate as utf-8": odd(b"66,\xed\xa0\x80," + CANARY.encode(), "encoding_invalid", ""),
    "too long a spelling": odd(b"66,\xc0\xaf," + CANARY.encode(), "encoding_invalid", ""),
    "beyond unicode": odd(b"66,\xf4\x90\x80\x80," + CANARY.encode(), "encoding_invalid", ""),
    "utf-8 in cp932": odd(f"66,あ,{CANARY}".encode(), "encoding_invalid", "", raw=rf"66,縺\x82,{CANARY}", options='encoding = "cp932"'),
    "cp932 that postgresql lacks": odd(
        b"66,\xf0\x40," + CANARY.encode(), "encoding_invalid", "", options='encoding = "cp932"', raw=f"66,\ue000,{CANARY}"
    ),
    "cp932 control": odd(b"66,\x80," + CANARY.encode(), "encoding_invalid", "", options='encoding = "cp932"', raw=f"66,\x80,{CANARY}"),
    "half a kanji, cp932": odd(b"66,\x8d," + CANARY.encode(), "encoding_invalid", "", options='encoding = "cp932"'),
    "euc_jp": odd(b"66,\xb0," + CANARY.encode(), "encoding_invalid", "", options='encoding = "euc_jp"'),
    "half a kanji, cp932, bar": Bad(
        content=among_good(b"66,\x8d\x20," + CANARY.encode(), "x").replace(b",", b"|"),
        code="encoding_invalid",
        line=5,
        options='encoding = "cp932"\ndelimiter = "|"',
    ),
    "no partition": Bad(
        content=file(f"1,,{CANARY}", f'2,,"{CANARY}\n"', f"66,,{CANARY}", f"3,,{CANARY}"),
        code="constraint_violated",
        line=5,
        raw=f"66,,{CANARY}",
        table=PARTS,
        more="CREATE TABLE {t}_p PARTITION OF {t} FOR VALUES FROM (1) TO (9)",
        said="partition",
    ),
    "cells of two lines in crlf": Bad(
        content=file(f'1,"a\nb",{CANARY}', f'2,"a\nb\nc",{CANARY}', f"x,d,{CANARY}", f"3,d,{CANARY}")
        .replace(b"\n", b"\r\n")
        .replace(b"a\r\nb", b"a\nb")
        .replace(b"b\r\nc", b"b\nc"),
        code="value_invalid",
        line=7,
        column="id",
        raw=f"x,d,{CANARY}",
    ),
    "cells with a lone cr": Bad(
        content=file(f'1,"a\rb",{CANARY}', f'2,"a\rb\rc",{CANARY}', f"x,d,{CANARY}", f"3,d,{CANARY}"),
        code="value_invalid",
        line=7,
        column="id",
        raw=f"x,d,{CANARY}",
    ),
    "cells of two lines in cr": Bad(
        content=file(f'1,"a\nb",{CANARY}', f'2,"a\nb\nc",{CANARY}', f"x,d,{CANARY}", f"3,d,{CANARY}", end="\r"),
        code="value_invalid",
        line=7,
        column="id",
        raw=f"x,d,{CANARY}",
    ),
    "bad cell in a record of three lines": Bad(
        content=among_good(f'66,"a\nb\n{CANARY}",c'.encode(), ""),
        code="value_invalid",
        line=5,
        column="v",
        raw=f'66,"a\nb\n{CANARY}",c',
        said=NO_TYPE,
        table="id int PRIMARY KEY, v int, note text",
    ),
    "bad last line without an end": Bad(
        content=file(f"1,x,{CANARY}", f"2,x,{CANARY}", f"3,x,{CANARY}", f"x,x,{CANARY}")[:-1],
        code="value_invalid",
        line=5,
        column="id",
        raw=f"x,x,{CANARY}",
    ),
    "blank line at the end": Bad(content=file(GOOD, f"2,x,{CANARY}", f"3,x,{CANARY}", ""), code="csv_malformed", line=5, raw=BLANK),
    "end of file as dos wrote it": Bad(
        content=file(GOOD, f"2,x,{CANARY}", f"3,x,{CANARY}", "\x1a"), code="csv_malformed", line=5, raw="\x1a"
    ),
    "first record of two lines": Bad(
        content=file(f'1,"a\nb",{CANARY}', f"2,x,{CANARY}", f"x,d,{CANARY}", f"3,d,{CANARY}"),
        code="value_invalid",
        line=5,
        column="id",
        raw=f"x,d,{CANARY}",
    ),
    "good euc_jp that python lacks": Bad(
        content=among_good(f"x,y,{CANARY}".encode(), "x").replace(b",x,", b",\xad\xa1,"),
        code="value_invalid",
        line=5,
        column="id",
        raw=f"x,y,{CANARY}",
        options='encoding = "euc_jp"',
    ),
    "far down": Bad(
        content=file(*(f'{n},"a\nb",{CANARY}' for n in range(1, 20001)), f"x,d,{CANARY}"),
        code="value_invalid",
        line=40002,
        column="id",
        raw=f"x,d,{CANARY}",
        good=tuple(range(1, 20001)),
    ),
}
UTF16 = 'encoding = "utf-16"'
SCHEMES = {
    "mixed, lf then crlf": (b"\n", b"\r\n"),
    "mixed, crlf then lf": (b"\r\n", b"\n"),
    "mixed, lf then cr": (b"\n", b"\r"),
    "mixed, crlf then cr": (b"\r\n", b"\r"),
    "mixed, cr then lf": (b"\r", b"\n"),
    "mixed, cr then crlf": (b"\r", b"\r\n"),
}
SHORT_RECORDS = "max_ratio = 100000\nmax_record_bytes = 2097152"
TOO_LONG = file(GOOD) + f"2,{CANARY}".encode() + b"x" * (3 * MEBI) + b",y\n"
SHAPES = {
    **{
        name: whole(
            file(GOOD, f'2,"a\nb",{CANARY}', end=usual.decode()) + f"3,x,{CANARY}".encode() + other + f"4,x,{CANARY}".encode() + usual,
            "csv_malformed",
            "ends otherwise",
            5,
        )
        for name, (usual, other) in SCHEMES.items()
    },
    "quote in a bare field": whole(among_good(f'66,5" pipe,{CANARY}'.encode(), "x"), "csv_malformed", "a quote within a field", 5),
    "space before a quote": whole(among_good(f'66, "x",{CANARY}'.encode(), "x"), "csv_malformed", "a quote within a field", 5),
    "text behind a quote": whole(among_good(f'66,"x"y,{CANARY}'.encode(), "x"), "csv_malformed", "text behind a closing quote", 5),
    "space behind a quote": whole(among_good(f'66,"x" ,{CANARY}'.encode(), "x"), "csv_malformed", "text behind a closing quote", 5),
    "unclosed at the end": whole(file(GOOD, f'2,"a\nb",{CANARY}', f'3,x,"{CANARY}'), "csv_malformed", "a quote that is not closed", 5),
    "unclosed in the middle": whole(among_good(f'66,"x,{CANARY}'.encode(), "x"), "csv_malformed", "quote", 5),
    "unclosed before a quoted one": whole(file(GOOD, f'2,"x,{CANARY}', f'3,"y",{CANARY}'), "csv_malformed", "quote", 4),
    "nothing but a quote": whole(file(GOOD, '"'), "csv_malformed", "a quote that is not closed", 3),
    "the wrong quote": whole(among_good(f"66,'a,b',{CANARY}".encode(), "x"), "csv_malformed", "fields", 5),
    "backslash before a quote": whole(among_good(rf'66,"say \"hi\"",{CANARY}'.encode(), "x"), "csv_malformed", "text behind", 5),
    "doubled quote where backslash escapes": whole(
        among_good(f'66,"a ""b"" c",{CANARY}'.encode(), "x"), "csv_malformed", "text behind", 5, options=BACKSLASH
    ),
    "backslash that eats the quote": whole(file(GOOD, rf'2,"C:\dir\",{CANARY}'), "csv_malformed", "quote", 3, options=BACKSLASH),
    "quote in a bare field of a second line": whole(
        among_good(f'66,"a\nb",5" {CANARY}'.encode(), "x"), "csv_malformed", "a quote within a field", 6
    ),
    "unclosed behind cells with a lone cr": whole(file(f'1,"a\rb",{CANARY}', f'2,"x,{CANARY}'), "csv_malformed", "not closed", 4),
    "too large a cell": whole(
        file(GOOD, f'2,"{CANARY}') + b"x" * (40 * MEBI) + b'",y\n', "csv_malformed", "not closed within", 3, options="max_ratio = 100000"
    ),
    "too long a record": whole(TOO_LONG, "too_large", "a record has more than 2097152", 3, options=SHORT_RECORDS),
    # PostgreSQL has an error of its own by then, which quotes the row.
    "too long a record behind a wrong one": whole(
        file(GOOD, f"2,{CANARY}") + TOO_LONG.partition(b"\n")[2],
        "too_large",
        "a record has more than 2097152",
        5,
        options=SHORT_RECORDS,
    ),
    "half a character at the end": whole(file(GOOD)[:-1] + b"\xe5\xba", "encoding_invalid", "", 2),
    "utf-16 with half a surrogate": whole(
        file(GOOD, encoding="utf-16") + b"\x00\xd8\x0a\x00", "encoding_invalid", "utf-16", 3, options=UTF16
    ),
    "utf-16 with the other half": whole(
        file(GOOD, encoding="utf-16") + b"\x00\xdc\x0a\x00", "encoding_invalid", "utf-16", 3, options=UTF16
    ),
    "utf-16 of an odd number of bytes": whole(file(GOOD, encoding="utf-16") + b"2", "encoding_invalid", "utf-16", 3, options=UTF16),
    "utf-16, cr": whole(file(GOOD, end="\r", encoding="utf-16") + b"\x00\xd8\x0d\x00", "encoding_invalid", "utf-16", 3, options=UTF16),
    "big-endian, far down": whole(
        b"\xfe\xff" + file(*[GOOD] * 20000, encoding="utf-16-be") + b"\xd8\x00\0\n", "encoding_invalid", "utf-16", 20002, options=UTF16
    ),
    "utf-16 where utf-8 was told": whole(file(GOOD, encoding="utf-16"), "encoding_invalid", "header", 1),
    "utf-16 without mark where utf-8 was told": whole(file(GOOD, encoding="utf-16-le"), "encoding_invalid", "header", 1),
    "utf-8 where utf-16 was told": whole(b"\xef\xbb\xbf" + file(GOOD), "encoding_invalid", "utf-16", 1, options=UTF16),
    "end marker of copy": whole(f"id,v,note\n{GOOD}\n\\.\n3,x,{CANARY}\n".encode(), "csv_malformed", "", 3),
    "a key twice": whole(file(GOOD, f'2,"a\nb",{CANARY}', f"1,y,{CANARY}"), "duplicate_keys", "repeat the key (id)", 5),
}
CP = "columns_mismatch"
HEADERS = {
    "empty file": whole(b"", "csv_malformed", "no header", 1),
    "only a mark": whole(b"\xef\xbb\xbf", "csv_malformed", "no header", 1),
    "only line ends": whole(b"\n\n\n", "csv_malformed", "no header", 1),
    "no header": whole(file(head=GOOD), CP, "has the file a header?"),
    "blank line before the header": whole(b"\n" + file(GOOD), "csv_malformed", "no header", 1),
    "excel's separator line": whole(b"sep=,\n" + file(GOOD), CP, "has the file a header?"),
    "another delimiter": whole(file(GOOD).replace(b",", b";"), CP, "has the file a header?"),
    "tabs": whole(file(GOOD).replace(b",", b"\t"), CP, "has the file a header?"),
    "two marks": whole(b"\xef\xbb\xbf\xef\xbb\xbf" + file(GOOD), CP, "no column"),
    "unknown name": whole(file(GOOD + ",x", head="id,v,note,nom"), CP, "no column nom;"),
    "missing name": whole(file(f"1,{CANARY}", head="id,v"), CP, "lacks note"),
    "missing key": whole(file(f"x,{CANARY}", head="v,note"), CP, "lacks id"),
    "a name twice": whole(file(GOOD + ",x", head="id,v,note,v"), CP, "names v more than once"),
    "a name twice in two widths": whole(file(GOOD + ",x", head="id,v,note,ｖ"), CP, "no column ｖ;"),
    "empty name": whole(file(f"1,x,,{CANARY}", head="id,v,,note"), CP, "column 3 has no name"),
    "trailing delimiter everywhere": whole(file(GOOD + ",", head="id,v,note,"), CP, "column 4 has no name"),
    "NUL in a name": whole(file(f"1,x,{CANARY},x", head="id,v,note,a\0b"), "encoding_invalid", "header", 1),
    "cp932 in the header": whole(file(GOOD, head="id,v,名").replace("名".encode(), b"\x96\xbc"), "encoding_invalid", "header", 1),
    "unclosed in the header": whole(file(GOOD, head='id,"v,note'), "csv_malformed", "header", 1),
    "header is not the one expected": whole(
        file(f"x,1,{CANARY}", head="v,id,note"), CP, "column 1 of the header", options='header = "match"'
    ),
    "header too short": whole(file(f"1,{CANARY}", head="id,v"), CP, "names 2 columns, not 3", options='header = "match"'),
    "1601 columns": whole(file(head=",".join(f"c{n}" for n in range(1601))), CP, "1601"),
    "1601 columns, most of them to be ignored": whole(
        file(",".join(["1"] * 1604), head="id,v,note," + ",".join(f"c{n}" for n in range(1601))),
        CP,
        "1600",
        options='on_extra_column = "ignore"',
    ),
    "generated column": whole(
        file(GOOD), CP, "makes the values of v itself", table="id int PRIMARY KEY, v text GENERATED ALWAYS AS ('x') STORED, note text"
    ),
    "identity": whole(
        file(GOOD), CP, "makes the values of id itself", table="id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, note text"
    ),
    "columns told but a header sent": whole(
        file(GOOD), "value_invalid", NO_TYPE, 1, column="id", options='header = "none"\ncolumns = ["id", "v", "note"]'
    ),
    "no table": whole(file(GOOD), "table_unknown", "there is no table", table=""),
    "view": whole(file(GOOD), "table_unknown", "is a view", table="", more="CREATE VIEW {t} AS SELECT 1 AS id, '' AS v, '' AS note"),
    "catalogue": whole(file(GOOD), "dataset_invalid", "not for loading", options='table = "pg_catalog.{t}"'),
    "no key in the table": whole(file(GOOD), "dataset_invalid", "no primary key", table="id int, v text, note text"),
    "zone unknown to postgresql": whole(file(GOOD), "dataset_invalid", "timezone", options='timezone = "Nippon/Edo"'),
}
PACKED = gzip.compress(file(GOOD))
PACKS = {
    "nothing at all": whole(b"", "gzip_invalid", "empty", packed=True),
    "no gzip": whole(file(GOOD), "gzip_invalid", "not gzip", packed=True),
    "cut": whole(PACKED[:-9], "gzip_invalid", "", packed=True),
    "garbage behind": whole(PACKED + CANARY.encode(), "gzip_invalid", "", packed=True),
    "wrong checksum": whole(PACKED[:-8] + b"\0" * 8, "gzip_invalid", "", packed=True),
    "the second member broken": whole(
        PACKED + gzip.compress(f"2,x,{CANARY}\n".encode())[:-12] + b"\0" * 12, "gzip_invalid", "", packed=True
    ),
    "gzip in gzip": whole(gzip.compress(PACKED), "encoding_invalid", "", 1, packed=True),
    "zip": whole(b"PK\3\4" + CANARY.encode() * 9, "gzip_invalid", "not gzip", packed=True),
}
CATALOGUE: dict[str, Bad] = {**VALUES, **REFUSED, **OWN_TYPES, **RECORDS, **SHAPES, **HEADERS, **PACKS}
