"""What the loader would do with a dataset's files, and what stands in its way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from loader.check import options, table
from loader.check.facts import Facts, look
from loader.layout import lay_out
from loader.relation import Column, Relation, key_of, look_up
from shared.contract import AfterLoad
from shared.datasets import Dataset, Datasets, Header, Mode, OnMissingColumn
from shared.datasets_problems import Problem
from shared.errors import ErrorCode, Rejected


@dataclass(frozen=True, slots=True)
class PlannedColumn:
    """A column of the table."""

    name: str
    type: str
    comes_from: str
    """In words."""


@dataclass(slots=True)
class Plan:
    """One dataset."""

    dataset: str
    keys: str
    """Which object keys belong to it."""
    table: str
    mode: str
    after_load: str = AfterLoad.KEEP
    """What happens to the object."""
    key: tuple[str, ...] = ()
    columns: tuple[PlannedColumn, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    """Its files will be rejected."""
    warnings: list[Problem] = field(default_factory=list)
    """Its files load, maybe not as expected."""


def plan(connection: psycopg.Connection[Any], datasets: Datasets, dataset: Dataset, role: str) -> Plan:
    """Look at one dataset. Nothing is written.

    Args:
        connection: in a transaction.
        datasets: the whole file.
        dataset: one of its datasets, or one by convention.
        role: the loader's, in PostgreSQL.
    """
    keys = dataset.match or f"incoming/{dataset.name}/*"
    made = Plan(dataset.name, keys, ".".join(dataset.target), dataset.mode, dataset.after_load)

    def tell(into: list[Problem]) -> Callable[[str, str], None]:
        return lambda option, what: into.append(datasets.problem(dataset.name, option, what))

    problem, warn = tell(made.problems), tell(made.warnings)
    try:
        # Settings that PostgreSQL does not know are told with their options.
        relation = replace(look_up(connection, dataset.model_copy(update={"datestyle": "", "timezone": ""})), role=role)
    except Rejected as rejection:
        problem("table", rejection.message)
        return made
    facts = look(connection, relation, dataset)
    names = _names(relation, dataset)
    made.columns = tuple(_columns(relation, dataset, facts, names))
    made.key = _key(relation, dataset, names, problem)
    _match(relation, dataset, problem)
    for findings, told in ((table.problems, problem), (table.warnings, warn)):
        for finding in findings(relation, dataset, facts):
            told("mode" if finding.by_mode else "table", finding.what)
    for option, what in options.problems(connection, relation, dataset, facts):
        problem(option, what)
    for option, what in options.warnings(connection, relation, dataset, names):
        warn(option, what)
    for other in _rivals(datasets, dataset):
        warn("mode", f"replace takes away what dataset {other} has loaded into {relation}")
    return made


def _names(relation: Relation, dataset: Dataset) -> tuple[str, ...]:
    """The table's columns that a file may bring: those that it is known to bring, else all that the loader or the table don't fill."""
    if dataset.columns:
        return tuple(dataset.rename.get(name, name) for name in dataset.columns)
    ours = options.filled(dataset)
    return tuple(column.name for column in relation.columns if not column.computed and column.name not in ours)


def _columns(relation: Relation, dataset: Dataset, facts: Facts, names: tuple[str, ...]) -> Iterator[PlannedColumn]:
    filled = options.filled(dataset)
    files = {table_name: file_name for file_name, table_name in dataset.rename.items()}
    for column in relation.columns:
        made = facts.types[column.name]["made"]
        if column.name in filled:
            source = filled[column.name]
        elif column.computed:
            source = f"the table ({made})"
        elif column.name not in names:
            source = f"not in the file ({made or 'NULL'})"
        else:
            renamed = f' as "{files[column.name]}"' if column.name in files else ""
            source = f"the file{renamed}{_if_missing(column, dataset, made)}"
        yield PlannedColumn(column.name, column.type, source)


def _if_missing(column: Column, dataset: Dataset, made: str) -> str:
    """What comes in place of a column that a file with a header lacks."""
    if dataset.columns or dataset.header is not Header.BY_NAME:
        return ""
    if column.optional:
        return f", may be missing ({made or 'default'})"
    return ", may be missing (NULL)" if dataset.on_missing_column is OnMissingColumn.DEFAULT and not column.not_null else ""


def _key(relation: Relation, dataset: Dataset, names: tuple[str, ...], problem: Callable[[str, str], None]) -> tuple[str, ...]:
    if dataset.mode is Mode.APPEND:
        return ()
    if dataset.mode is Mode.REPLACE and not dataset.key:
        return relation.keys[0] if relation.has_primary_key else ()
    try:
        return key_of(relation, dataset, names)
    except Rejected as rejection:
        problem("key", rejection.message)
        return dataset.key


def _match(relation: Relation, dataset: Dataset, problem: Callable[[str, str], None]) -> None:
    """The loader's own comparison, where the file's columns are known without the file."""
    if not dataset.columns:
        return
    try:
        lay_out(relation, dataset, dataset.columns, from_file=False)
    except Rejected as rejection:
        # That an option names a column which the table lacks is told with the option.
        if rejection.error_code == ErrorCode.COLUMNS_MISMATCH:
            problem("columns", rejection.message)


def _rivals(datasets: Datasets, dataset: Dataset) -> list[str]:
    others = (other for other in datasets.entries.values() if other.name != dataset.name and other.target == dataset.target)
    return [other.name for other in others] if dataset.mode is Mode.REPLACE else []
