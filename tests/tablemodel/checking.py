"""The table and the ledger beside the model."""

import itertools
import json
from collections import Counter
from typing import Any

from hypothesis import note

from integration.loader_fixture import Desk
from shared.contract import Settlement
from tablemodel.cases import MARK, Case, identifier
from tablemodel.model import LATE, Expected, Model, Row

_numbers = itertools.count(1)


def configuration(case: Case, name: str) -> str:
    dialect = case.dialect
    options = {
        "table": "checked",
        "mode": case.mode,
        "encoding": dialect.encoding,
        "header": case.header,
        "delimiter": dialect.delimiter,
        "quote": dialect.quote,
        "escape": "" if dialect.escape == dialect.quote else dialect.escape,
        "null": list(dialect.nulls),
        "on_duplicate_key": case.on_duplicate,
        "max_rejected_rows": case.tolerated,
        "newer_by": case.newer_by,
        **case.options,
    }
    if case.header != "by_name":
        said = {column.name: column.said for column in case.columns}
        options["columns"] = [said.get(name, name) for name in case.files[0].order]
    if case.key and not case.primary:
        options["key"] = list(case.key)
    lines = [f"{option} = {json.dumps(value)}" for option, value in options.items()]
    renamed = [f"{json.dumps(column.said)} = {json.dumps(column.name)}" for column in case.columns if column.said != column.name]
    lines.append(f"rename = {{{', '.join(renamed)}}}")
    if case.delete_by:
        lines.append(f"delete_when = {{{json.dumps(case.delete_by)} = {json.dumps(MARK)}}}")
    # TOML has no DEL in its strings, and JSON does not escape it.
    return f"[datasets.{name}]\n" + "\n".join(lines).replace("\x7f", "\\u007f") + "\n"


def definition(case: Case) -> str:
    parts = [column.definition for column in case.columns] + list(case.made)
    if case.key:
        parts.append(f"{'PRIMARY KEY' if case.primary else 'UNIQUE'} ({', '.join(map(identifier, case.key))})")
    return f"checked ({', '.join(parts)})"


def expected_rows(case: Case, model: Model) -> Counter[tuple[Any, ...]]:
    return Counter(_row(case, row) for row in model.rows)


def _row(case: Case, row: Row) -> tuple[Any, ...]:
    cells = [row.cells[column.name].seen for column in case.columns]
    made = [json.dumps(row.extra, sort_keys=True)] if "rescue_column" in case.options else []
    made += [str(row.line)] if "line_column" in case.options else []
    made += [row.file] if "file_column" in case.options else []
    return (*cells, *made)


def actual_rows(case: Case, desk: Desk) -> Counter[tuple[Any, ...]]:
    made = [case.options[option] for option in ("rescue_column", "line_column", "file_column") if option in case.options]
    names = [column.name for column in case.columns] + made
    # Not prepared: the next case's table has the same name.
    found = desk.sql.execute(f"SELECT {', '.join(map(identifier, names))} FROM checked", prepare=False).fetchall()
    rows = []
    for values in found:
        cells = [column.kind.seen(value) for column, value in zip(case.columns, values, strict=False)]
        others = [value if isinstance(value, str) else json.dumps(value, sort_keys=True) for value in values[len(cells) :]]
        rows.append((*cells, *others))
    return Counter(rows)


def check_file(case: Case, desk: Desk, settlement: Settlement, expected: Expected) -> None:
    row = desk.ledger(settlement)
    assert row["status"] == expected.status, row["error"]
    if expected.status == "loaded":
        assert {name: row[name] for name in expected.counts} == expected.counts
        check_rejects(desk, row, expected)
        return
    assert row["error_code"] in expected.codes, row["error"]
    assert desk.rows(f"SELECT count(*) FROM hikyaku.rejected_rows WHERE version_id = '{row['version_id']}'") == [(0,)]
    # Where wrong records may be put aside, missing values are looked for only in a file that has not too many others.
    late = LATE | {"null"} if case.tolerated else LATE
    early = [wrong for wrong in expected.wrong if wrong.fault not in late]
    if early:
        assert not expected.certain or f"line {early[0].line}" in row["error"], (row["error"], early)
        # Known: a name with a line break or a double quote is not named.
        assert not expected.certain or {"\n", '"'} & {*early[0].column} or early[0].column in row["error"], (row["error"], early)


def check_rejects(desk: Desk, row: dict[str, Any], expected: Expected) -> None:
    query = "SELECT line_number, column_name, error_code, raw_text FROM hikyaku.rejected_rows WHERE version_id = %s ORDER BY line_number"
    found = desk.sql.execute(query, (row["version_id"],)).fetchall()
    if not expected.certain:
        assert len(found) == len(expected.wrong)
        return
    assert [line for line, *_ in found] == [wrong.line for wrong in expected.wrong], found
    for (_, column, code, raw), wrong in zip(found, expected.wrong, strict=True):
        assert (column or "").startswith(wrong.column)
        assert code in wrong.codes
        assert wrong.raw is None or raw == wrong.raw


def check(case: Case, desk: Desk) -> None:
    name, model = f"case_{next(_numbers)}", Model(case)
    desk.table(definition(case))
    desk.configure(configuration(case, name))
    for number, file in enumerate(case.files):
        key = f"incoming/{name}/{number}.csv.gz.age"
        written = model.write(file)
        note(f"{number}: {written.content!r}")
        settlement = desk.send(key, written.content)
        expected = model.take(file, written, key)
        check_file(case, desk, settlement, expected)
        actual, wanted = actual_rows(case, desk), expected_rows(case, model)
        assert actual == wanted, f"in the table only: {actual - wanted}, missing: {wanted - actual}"
