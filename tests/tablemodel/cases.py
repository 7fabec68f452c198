"""Random tables, datasets and files."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tablemodel.dialects import dialects
from tablemodel.kinds import INTEGER, KINDS, NULL, TEXT, Cell, Kind, Surroundings
from tablemodel.writing import INVALID, Dialect, alphabet

NAMES = ("a", "B", "name", "unit price", "x,y", 'say "x"', "it's", "select", "line\nbreak", "a;b|c", "100%", "Name2", "ß")
EXTRAS = ("more", 'ex"tra', "un,known")
MARK = "D"
"""What marks a deletion."""


@dataclass(frozen=True, slots=True)
class Column:
    """One of the table's and of the file's."""

    name: str
    said: str
    """In the file."""
    kind: Kind
    not_null: bool = False
    default: Cell | None = None

    @property
    def definition(self) -> str:
        """In CREATE TABLE."""
        quoted = identifier(self.name)
        default = "" if self.default is None else f" DEFAULT {literal(self.default.text)}"
        return f"{quoted} {self.kind.ddl.format(column=quoted)}{' NOT NULL' if self.not_null else ''}{default}"


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a file."""

    cells: dict[str, Cell]
    """By the name of the table's column, or of the extra one."""
    fault: str = ""
    """What is wrong with it: value, null, check, short, long or bytes."""
    column: str = ""
    """Where."""


@dataclass(frozen=True, slots=True)
class File:
    """A file, before it is bytes."""

    order: tuple[str, ...]
    """Its columns, in the table's names."""
    records: tuple[Record, ...]
    end: str
    last_end: bool
    bom: bool
    quoting: int


@dataclass(frozen=True, slots=True)
class Case:
    """A table, its dataset, and files that come one after another."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]
    primary: bool
    """The key is the primary one, else only a unique index."""
    dialect: Dialect
    mode: str
    header: str
    options: dict[str, Any]
    files: tuple[File, ...]
    extras: tuple[str, ...] = ()
    newer_by: str = ""
    delete_by: str = ""
    on_duplicate: str = "reject"
    tolerated: float = 0
    made: tuple[str, ...] = field(default=())
    """Definitions of columns that no file has."""

    def column(self, name: str) -> Column:
        """By its name in the table."""
        return next(column for column in self.columns if column.name == name)


def identifier(name: str) -> str:
    """Quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str | None) -> str:
    """Quoted for SQL."""
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any case."""
    dialect = draw(dialects())
    dates = draw(st.sampled_from([("", "%Y-%m-%d"), ("", "%Y-%m-%d"), ("SQL, DMY", "%d/%m/%Y"), ("German", "%d.%m.%Y")]))
    zone = draw(st.sampled_from(["UTC", "Asia/Tokyo"]))
    around = Surroundings(alphabet(dialect.encoding), dates[1], zone)
    mode = draw(st.sampled_from(["upsert", "upsert", "upsert", "append", "replace"]))
    header = draw(st.sampled_from(["by_name", "by_name", "match", "none"]))
    columns, key = _columns(draw, dialect, around, keyed=mode == "upsert" or (mode == "replace" and draw(st.booleans())))
    names = [column.name for column in columns]
    options: dict[str, Any] = {"datestyle": dates[0].upper(), "timezone": zone, "on_duplicate_content": "load"}
    if draw(st.booleans()):
        options["on_missing_column"] = "default"
    newer_by = delete_by = ""
    extras: tuple[str, ...] = ()
    if draw(st.integers(0, 3)) == 0:
        extras = tuple(draw(st.lists(st.sampled_from(EXTRAS), min_size=1, max_size=2, unique=True)))
        options["on_extra_column"] = draw(st.sampled_from(["ignore", "rescue"]))
    if mode == "upsert":
        versions = [c.name for c in columns if c.kind.name in {"int4", "int8", "date", "timestamptz"} and c.name not in key]
        newer_by = draw(st.sampled_from(["", *versions, *versions]))
        marks = [c.name for c in columns if c.kind is TEXT and c.name not in key and c.name != newer_by]
        outside = [] if options.get("on_extra_column") == "rescue" else list(extras)
        delete_by = draw(st.sampled_from(["", *marks, *outside]))
    lines, file = draw(st.booleans()), draw(st.booleans())
    made = ["made int GENERATED ALWAYS AS (41 + 1) STORED", "auto bigint GENERATED ALWAYS AS IDENTITY"][: draw(st.integers(0, 2))]
    for wanted, option, name, sql_type in (
        (options.get("on_extra_column") == "rescue", "rescue_column", "rescued", draw(st.sampled_from(["json", "jsonb"]))),
        (lines, "line_column", "from line", "bigint"),
        (file, "file_column", "from_file", "text"),
    ):
        if wanted:
            options[option] = name
            made.append(f"{identifier(name)} {sql_type}")
    tolerated = draw(st.sampled_from([0, 0, 1, 4, 0.5, 100]))
    case = Case(
        columns=columns,
        key=key,
        primary=bool(key) and draw(st.booleans()),
        dialect=dialect,
        mode=mode,
        header=header,
        options=options,
        files=(),
        extras=extras,
        newer_by=newer_by,
        delete_by=delete_by,
        on_duplicate=draw(st.sampled_from(["reject", "last", "last", "first"])),
        tolerated=tolerated,
        made=tuple(made),
    )
    return _with_files(draw, case, names, around)


def _columns(draw: st.DrawFn, dialect: Dialect, around: Surroundings, *, keyed: bool) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    names = draw(st.lists(st.sampled_from([n for n in NAMES if _sayable(n, dialect)]), min_size=1 + keyed, max_size=6, unique=True))
    key_size = draw(st.integers(1, min(2, len(names) - 1))) if keyed else 0
    columns = []
    for position, name in enumerate(names):
        is_key = position < key_size
        kind = draw(st.sampled_from([kind for kind in KINDS if kind.may_be_key or not is_key]))
        said = draw(st.sampled_from([name, name, name, f"{name} said"]))
        not_null = is_key or draw(st.integers(0, 3)) == 0
        default = draw(kind.cells(around)) if kind in (INTEGER, TEXT) and not is_key and draw(st.booleans()) else None
        columns.append(Column(name, said, kind, not_null, default))
    return tuple(columns), tuple(names[:key_size])


def _sayable(name: str, dialect: Dialect) -> bool:
    return all(character in alphabet(dialect.encoding) + "\n" or character.isascii() for character in name)


def _with_files(draw: st.DrawFn, case: Case, names: list[str], around: Surroundings) -> Case:
    pool = draw(st.lists(st.tuples(*(case.column(n).kind.cells(around) for n in case.key)), min_size=10, max_size=10, unique_by=_seen))
    spare = iter(pool[4:]) if case.key else iter(())
    # Few of them, so that many are of one age.
    versions = draw(st.lists(case.column(case.newer_by).kind.cells(around), min_size=3, max_size=3)) if case.newer_by else []
    whole = draw(st.permutations([*names, *case.extras]))
    files: list[File] = []
    for _ in range(draw(st.integers(1, 3))):
        order = draw(st.permutations(whole)) if case.header == "by_name" else whole
        if case.header == "by_name":
            order = [name for name in order if not (_optional(case, name) and draw(st.integers(0, 2)) == 0)]
            # A file without any of the table's columns is none of its files.
            order = order if set(order) & set(names) else whole
        said_before = [one.cells for file in files for one in file.records if not one.fault and set(order) <= set(one.cells)]
        earlier = [Record({name: cells[name] for name in order}) for cells in said_before]
        fresh = _record(case, tuple(order), pool=pool[:4], versions=versions, around=around)
        records = draw(st.lists(fresh | st.sampled_from(earlier) if earlier else fresh, max_size=6))
        records = [_with_fault(draw, case, one, order, spare) if draw(st.integers(0, 5)) == 0 else one for one in records]
        files.append(
            File(
                tuple(order),
                tuple(records),
                draw(st.sampled_from(["\n", "\r\n", "\r"])),
                draw(st.booleans()),
                draw(st.booleans()),
                draw(st.sampled_from([0, 255, 85, 170])),
            )
        )
    return Case(**{**{name: getattr(case, name) for name in Case.__slots__}, "files": tuple(files)})


def _seen(cells: tuple[Cell, ...]) -> tuple[str | None, ...]:
    return tuple(cell.seen for cell in cells)


def _optional(case: Case, name: str) -> bool:
    if name in (case.newer_by, case.delete_by) or name in case.key or name in case.extras:
        return False
    column = case.column(name)
    lenient = "on_missing_column" in case.options and not column.not_null
    return column.default is not None or lenient


@st.composite
def _record(
    draw: st.DrawFn, case: Case, order: tuple[str, ...], *, pool: list[tuple[Cell, ...]], versions: list[Cell], around: Surroundings
) -> Record:
    cells: dict[str, Cell] = {}
    key = dict(zip(case.key, draw(st.sampled_from(pool)), strict=True)) if case.key else {}
    for name in order:
        if name in key:
            cells[name] = key[name]
        elif name == case.delete_by and draw(st.integers(0, 2)) == 0:
            cells[name] = Cell(MARK, MARK, MARK)
        else:
            kind, not_null = (TEXT, False) if name in case.extras else (case.column(name).kind, case.column(name).not_null)
            some = st.sampled_from(versions) if name == case.newer_by else kind.cells(around)
            cells[name] = NULL if not not_null and draw(st.integers(0, 4)) == 0 else draw(some)
    return Record(cells)


def _with_fault(draw: st.DrawFn, case: Case, record: Record, order: list[str], spare: Any) -> Record:
    """The same record with something wrong. One that only the table refuses has a key that no other record has."""
    columns = [column for column in case.columns if column.name in order]
    faults: list[tuple[str, Column, str | None]] = []
    faults += [("value", c, text) for c in columns for text in c.kind.wrong]
    faults += [("check", c, text) for c in columns for text in c.kind.refused]
    faults += [("null", c, None) for c in columns if c.not_null]
    faults += [("long", columns[0], None), *([("short", columns[0], None)] if len(order) > 1 else [])]
    if case.dialect.encoded_by_us and case.dialect.encoding in INVALID:
        faults += [("bytes", c, None) for c in columns]
    fault, column, text = draw(st.sampled_from(faults))
    cells = dict(record.cells)
    if fault in {"null", "check"} and case.key:
        fresh = next(spare, None)
        if fresh is None:
            return record
        cells.update(zip(case.key, fresh, strict=True))
        if case.delete_by:
            cells[case.delete_by] = Cell("keep", "keep", "keep")
    if fault in {"value", "null", "check"}:
        if text is not None and any(character not in _characters(case) for character in text):
            return record
        cells[column.name] = Cell(text, None, None)
    return Record(cells, fault, column.name)


def _characters(case: Case) -> str:
    """Characters that the case's files can hold."""
    return alphabet(case.dialect.encoding) + "\n" + "".join(map(chr, range(32, 127)))
