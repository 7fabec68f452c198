"""One check: a datasets.toml, and maybe a database."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from loader.check.plan import Plan, plan
from loader.database import bounded
from shared import keys
from shared.datasets import Dataset, Datasets, DatasetsError, read
from shared.datasets_file import read_text
from shared.datasets_problems import Problem
from shared.errors import Rejected

LOADER = "hikyaku_loader"
"""Whom roles.sql makes the loader."""
PATIENCE = "30s"
"""For each look into the catalog, which ALTER TABLE may keep waiting."""


class NotCheckedError(Exception):
    """There is no file or no database to check; the message says why."""


@dataclass(slots=True)
class Report:
    """What was found."""

    file: str
    database: str
    """Empty where only the file was looked at."""
    role: str
    problems: list[Problem]
    """Of the file itself."""
    plans: list[Plan] = field(default_factory=list)

    def all_problems(self) -> list[Problem]:
        """Of the file and of each dataset, in the order of the file."""
        return sorted({*self.problems, *(problem for each in self.plans for problem in each.problems)})

    def is_fine(self) -> bool:
        """Whether nothing rejects a file; warnings are fine."""
        return not self.all_problems()

    def summary(self) -> str:
        """The last line for a person."""
        problems, warnings = len(self.all_problems()), sum(len(each.warnings) for each in self.plans)
        looked = (
            f"{_count(len(self.plans), 'dataset')} against {self.database} as {self.role}" if self.database else "no database was asked"
        )
        return f"{self.file}: {looked}: {_count(problems, 'problem')}, {_count(warnings, 'warning')}."

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"fine": self.is_fine(), **asdict(self)}


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def examine(path: Path, conninfo: str | None, names: Sequence[str] = (), role: str | None = None) -> Report:
    """Read the file and look at its datasets in the database, in a transaction that can't write.

    Args:
        path: of datasets.toml.
        conninfo: libpq URL or keyword string; None to look at the file only.
        names: datasets to look at, with or without an entry; all entries where there are none.
        role: the loader's in PostgreSQL; hikyaku_loader where there is one, else the one that connects.

    Raises:
        NotCheckedError: the file is not there or no TOML; the database can't be reached, or has no such role.
    """
    try:
        datasets, problems = read(read_text(path))
    except DatasetsError as error:
        raise NotCheckedError(str(DatasetsError(error.problems, str(path)))) from None
    report = Report(str(path), "", "", problems)
    if conninfo is not None:
        conninfo = _bounded(conninfo)
        try:
            with psycopg.connect(conninfo) as connection:
                connection.read_only = True
                _look(connection, report, datasets, names, role)
        except psycopg.Error as error:
            # No row is ever read here, so its text quotes none.
            raise NotCheckedError(f"PostgreSQL: {' '.join(str(error).split())}") from None
    return report


def _bounded(conninfo: str) -> str:
    try:
        return bounded(conninfo, "hikyaku-check")
    except psycopg.ProgrammingError:
        # libpq's own text may repeat the password.
        raise NotCheckedError("the database's URL is none: postgresql://user:password@host:port/database") from None


def _look(connection: psycopg.Connection[Any], report: Report, datasets: Datasets, names: Sequence[str], role: str | None) -> None:
    connection.execute("SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)", (PATIENCE, PATIENCE))
    report.role = _role(connection, role)
    info = connection.info
    report.database = f"{info.dbname} on {info.host or 'localhost'}:{info.port}"
    for dataset in _chosen(datasets, names, report):
        report.plans.append(plan(connection, datasets, dataset, report.role))


def _role(connection: psycopg.Connection[Any], asked: str | None) -> str:
    query = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) UNION ALL SELECT current_user"
    roles = [str(row[0]) for row in connection.execute(query, ([asked or LOADER],))]
    if asked and asked not in roles:
        raise NotCheckedError(f"there is no role {asked} in PostgreSQL")
    return roles[0]


def _chosen(datasets: Datasets, names: Sequence[str], report: Report) -> Iterator[Dataset]:
    if not names:
        yield from datasets.entries.values()
    for name in dict.fromkeys(names):
        if name in datasets.entries:
            yield datasets.entries[name]
        elif "/" in name:
            report.problems.append(datasets.problem(name, "", "is no dataset's name: give the folder's below incoming/ alone"))
        elif not datasets.has_table(name):
            try:
                yield datasets.of(f"{keys.INCOMING}{name}/x{keys.SUFFIXES[0]}")
            except Rejected as rejection:
                report.problems.append(datasets.problem(name, "", rejection.message))
