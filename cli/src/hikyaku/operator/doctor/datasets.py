"""The tables of datasets.toml, with the loader's eyes where the loader is installed."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from hikyaku.operator.doctor.finding import CantLookError, Finding, fail, ok, unknown, warn
from hikyaku.operator.doctor.scope import Scope

LOOK = "docker compose run --rm loader python -m loader.check"


def look(scope: Scope) -> Iterator[Finding]:
    """What would reject a dataset's files, privileges included."""
    file = Path(scope.need("datasets"))
    if not find_spec("loader"):
        yield unknown("the datasets' tables are not looked at", "the loader is not installed here, with whose eyes they are", LOOK)
        return
    if not file.exists():
        yield ok(f"there is no {file}: every dataset goes to the table of its name")
        return
    from loader.check.examine import NotCheckedError, examine  # noqa: PLC0415 - comes with the extra `local` only

    try:
        report = examine(file, scope.need("database_url"))
    except NotCheckedError as error:
        raise CantLookError(str(error)) from None
    for problem in report.all_problems():
        yield fail(str(problem), "files of this dataset are rejected", LOOK)
    for plan in report.plans:
        for warning in plan.warnings:
            yield warn(str(warning), "files of this dataset load, maybe not as expected", LOOK)
    if report.is_fine():
        yield ok(report.summary())
