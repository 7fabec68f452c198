"""Columns that options name, and settings that only the database can judge."""

from collections.abc import Iterator
from typing import Any

import psycopg

from loader.check.facts import Facts, has_input_check, has_order, takes
from loader.relation import Relation
from shared.datasets import Dataset, Mode, OnDuplicateKey, OnExtraColumn, SeqPolicy, SignaturePolicy

Told = tuple[str, str]
"""An option, and what there is to say of it."""
LINES = frozenset({"integer", "bigint", "numeric"})
JSON = frozenset({"json", "jsonb"})
TEXTS = "S"
"""pg_type.typcategory of text, varchar and what is made of them."""


def filled(dataset: Dataset) -> dict[str, str]:
    """Columns that the loader fills, and with what."""
    found = {dataset.file_column: "the object's key", dataset.line_column: "the line in the file"}
    if dataset.on_extra_column is OnExtraColumn.RESCUE:
        found[dataset.rescue_column] = "what the table lacks, as JSON"
    return {name: what for name, what in found.items() if name}


def problems(connection: psycopg.Connection[Any], relation: Relation, dataset: Dataset, facts: Facts) -> Iterator[Told]:
    """Why files of this dataset would be rejected."""
    columns = {column.name: column for column in relation.columns}
    asked = {name: getattr(dataset, name) for name in ("newer_by", "watermark", "file_column", "line_column")}
    asked["rescue_column"] = dataset.rescue_column if dataset.on_extra_column is OnExtraColumn.RESCUE else ""
    for option, name in asked.items():
        if name and name not in columns:
            yield option, f'{relation} has no column "{name}": {_advice(option)}'
        elif name and columns[name].computed:
            yield option, f'the table makes the values of "{name}" itself ({facts.types[name]["made"]}): name another column'
        elif name and (what := _unfit(connection, option, columns[name].type, facts.types[name])):
            yield option, f'column "{name}" is of type {columns[name].type}: {what}'
    for setting in ("datestyle", "timezone"):
        if (value := getattr(dataset, setting)) and not takes(connection, setting, value):
            yield setting, f'PostgreSQL does not know "{value}"' + (" (see pg_timezone_names)" if setting == "timezone" else "")


def _advice(option: str) -> str:
    types = {"file_column": "text", "line_column": "bigint", "rescue_column": "jsonb"}
    return f"add one of type {types[option]}, or name another" if option in types else "name another"


def _unfit(connection: psycopg.Connection[Any], option: str, type_name: str, facts: Any) -> str:
    if option in {"newer_by", "watermark"} and not has_order(connection, type_name):
        return "its values have no order"
    if option == "line_column" and facts["base"] not in LINES:
        return "a line's number needs bigint (or integer, numeric)"
    if option == "file_column" and facts["category"] != TEXTS:
        return "an object's key needs text"
    if option == "rescue_column" and facts["base"] not in JSON:
        return "what is rescued needs jsonb (or json)"
    return ""


def _about_order(dataset: Dataset) -> Iterator[Told]:
    if dataset.order_by.startswith("{") and dataset.mode is not Mode.REPLACE:
        what = f'order_by = "{dataset.order_by}" has no effect with mode = "{dataset.mode}"'
        advice = "; newer_by orders the rows" if dataset.mode is Mode.UPSERT else ""
        yield "order_by", f"{what}: files under different keys are not compared, and versions of one key have the same{advice}"
    counts = {"order_by": dataset.order_by == "seq", "seq": dataset.seq is SeqPolicy.UNIQUE}
    option = next((name for name, asked in counts.items() if asked), None)
    if option and dataset.signature is not SignaturePolicy.REQUIRED:
        what = "of a file without a signature, whoever may put files there can set sender and number"
        yield option, f'{option} goes by the sender\'s number, and signature = "{dataset.signature}": {what}'


def warnings(connection: psycopg.Connection[Any], relation: Relation, dataset: Dataset, names: tuple[str, ...]) -> Iterator[Told]:
    """What may surprise."""
    yield from _about_order(dataset)
    if dataset.mode is Mode.APPEND:
        if dataset.key:
            yield "key", 'key has no effect with mode = "append"'
        if dataset.on_duplicate_key is not OnDuplicateKey.REJECT:
            yield "on_duplicate_key", 'on_duplicate_key has no effect with mode = "append"'
    if dataset.max_rejected_rows:
        types = {column.name: column.type for column in relation.columns if column.name in names}
        checked = {type_name: has_input_check(connection, type_name) for type_name in set(types.values())}
        for name, type_name in types.items():
            if not checked[type_name]:
                what = f'a wrong value in column "{name}" rejects the file all the same: PostgreSQL has no input check for {type_name}'
                yield "max_rejected_rows", what
