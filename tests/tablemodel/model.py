"""What a table must hold, and what the ledger must say, after each file: plain dictionaries, no database."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tablemodel.cases import MARK, Case, File, Record
from tablemodel.kinds import NULL, Cell
from tablemodel.writing import Line, Written, record, write

CODES = {
    "value": {"value_invalid"},
    "null": {"constraint_violated"},
    "check": {"constraint_violated"},
    "short": {"csv_malformed"},
    "long": {"csv_malformed"},
    "bytes": {"encoding_invalid"},
}
LATE = {"check"}
"""Found when the rows go into the table, where PostgreSQL names no line."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A record that can't be loaded."""

    line: int
    column: str
    """Empty: none can be named."""
    codes: frozenset[str]
    fault: str
    raw: str | None


@dataclass(slots=True)
class Expected:
    """What a file must come to."""

    status: str
    codes: frozenset[str] = frozenset()
    wrong: tuple[Wrong, ...] = ()
    certain: bool = True
    """Whether the lines can be compared."""
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Row:
    """A row of the table."""

    cells: dict[str, Cell]
    extra: dict[str, str | None] | None
    line: int
    file: str


class Model:
    """The table beside the table."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.keyed: dict[tuple[str | None, ...], Row] = {}
        self.heap: list[Row] = []

    @property
    def rows(self) -> list[Row]:
        """All of them."""
        return [*self.keyed.values(), *self.heap]

    def write(self, file: File) -> Written:
        """The file as bytes."""
        case, names = self.case, {column.name: column.said for column in self.case.columns}
        head = [Cell(names.get(name, name), None, None) for name in file.order]
        header = None if case.header == "none" else record(case.dialect, head, file.quoting)
        lines = [self._line(file, one) for one in file.records]
        return write(case.dialect, header, lines, file.end, bom=file.bom, last_end=file.last_end)

    def _line(self, file: File, one: Record) -> Line:
        cells = [one.cells[name] for name in file.order]
        if one.fault == "short":
            cells = cells[:-1]
        if one.fault == "long":
            cells.append(Cell("x", None, None))
        return record(self.case.dialect, cells, file.quoting, file.order.index(one.column) if one.fault == "bytes" else None)

    def take(self, file: File, written: Written, name: str) -> Expected:
        """Load a file."""
        numbered = list(zip(file.records, written.begins, written.raw, strict=True))
        wrong = tuple(_wrong(self.case, one, line, raw) for one, line, raw in numbered if one.fault)
        good = [(one, line) for one, line, _ in numbered if not one.fault]
        tolerated = self.case.tolerated
        limit = int(tolerated * len(numbered)) if tolerated < 1 else int(tolerated)
        repeated = len(good) - len({self._key(one) for one, _ in good}) if self.case.key else 0
        refused = bool(repeated) and self.case.on_duplicate == "reject"
        if len(wrong) > limit:
            codes = frozenset({"too_many_rejected_rows"}) if limit else frozenset(code for each in wrong for code in each.codes)
            # Either is true of the file.
            codes |= {"duplicate_keys"} if refused else set()
            return Expected("rejected", codes, wrong, certain=not refused)
        if refused:
            return Expected("rejected", frozenset({"duplicate_keys"}))
        counts = self._merge(file, [Row(one.cells, self._extra(one), line, name) for one, line in good])
        counts |= {"rows_in_file": len(numbered), "rows_rejected": len(wrong)}
        counts["rows_changed"] = counts["rows_inserted"] + counts["rows_updated"]
        counts["rows_loaded"] = counts["rows_changed"] + counts["rows_unchanged"]
        return Expected("loaded", wrong=wrong, counts=counts)

    def _key(self, one: Record | Row) -> tuple[str | None, ...]:
        return tuple(one.cells[name].seen for name in self.case.key)

    def _extra(self, one: Record) -> dict[str, str | None] | None:
        return {name: one.cells[name].text for name in self.case.extras} if "rescue_column" in self.case.options else None

    def _merge(self, file: File, rows: Sequence[Row]) -> dict[str, int]:
        case, counts = self.case, dict.fromkeys(("rows_inserted", "rows_updated", "rows_unchanged", "rows_deleted"), 0)
        rows = self._distinct(rows) if case.key else list(rows)
        if case.mode == "replace":
            counts["rows_deleted"] = len(self.rows)
            self.keyed, self.heap = {}, []
        if case.mode != "upsert":
            counts["rows_inserted"] = len(rows)
            self.heap += [self._completed(row) for row in rows]
            return counts
        for row in rows:
            what = self._upsert(file, row)
            if what:
                counts[what] += 1
        return counts

    def _distinct(self, rows: Sequence[Row]) -> list[Row]:
        chosen: dict[tuple[str | None, ...], Row] = {}
        for row in rows:
            key = self._key(row)
            before = chosen.get(key)
            if before is None:
                chosen[key] = row
            elif self.case.newer_by and self._order(row) != self._order(before):
                chosen[key] = max(row, before, key=self._order)
            elif self.case.on_duplicate == "last":
                chosen[key] = row
        return list(chosen.values())

    def _order(self, row: Row) -> tuple[bool, float | str]:
        """By version; none at all is the oldest."""
        cell = row.cells[self.case.newer_by]
        if cell.seen is None:
            return False, ""
        return True, (float(cell.seen) if self.case.column(self.case.newer_by).kind.name.startswith("int") else cell.seen)

    def _upsert(self, file: File, row: Row) -> str:
        case, key = self.case, self._key(row)
        there = self.keyed.get(key)
        passed = there is not None and bool(case.newer_by) and self._order(row) < self._order(there)
        if case.delete_by and row.cells[case.delete_by].text == MARK:
            if there is None or passed:
                return ""
            del self.keyed[key]
            return "rows_deleted"
        if there is None:
            self.keyed[key] = self._completed(row)
            return "rows_inserted"
        written = [name for name in file.order if name not in case.key and name not in case.extras]
        same = all(there.cells[name].image == row.cells[name].image for name in written) and there.extra == row.extra
        if passed or same:
            return "rows_unchanged"
        there.cells |= {name: row.cells[name] for name in written}
        there.extra, there.line, there.file = row.extra, row.line, row.file
        return "rows_updated"

    def _completed(self, row: Row) -> Row:
        """With what the file lacks."""
        missing = {column.name: column.default or NULL for column in self.case.columns if column.name not in row.cells}
        return Row({**row.cells, **missing}, row.extra, row.line, row.file)


def _wrong(case: Case, one: Record, line: int, raw: str) -> Wrong:
    codes = set(CODES[one.fault])
    if one.column and one.fault == "value" and case.column(one.column).kind.name in {"positive", "short"}:
        codes.add("constraint_violated")
    column = one.column if one.fault in {"value", "null"} else ""
    return Wrong(line, column, frozenset(codes), one.fault, None if one.fault == "bytes" else raw)
