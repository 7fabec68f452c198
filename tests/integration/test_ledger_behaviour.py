"""The suite of the loader's behaviour on PostgreSQL: what the fake does in the simulation, the real thing does too."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given

from fakes import targets
from integration.loader_fixture import Desk
from integration.postgres_fixture import Database
from shared.contract import Declared, FileRef, Problem, Settlement
from suites.fake_ledger import FakeBench
from suites.ledger import *  # noqa: F403 - the suite's tests
from suites.ledger import CONFIGURATION, LEDGER, TABLES, Delivery, Told, compared, histories, told

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")


class RealBench:
    """A loader over PostgreSQL."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        desk.configure(CONFIGURATION)
        for name in TABLES:
            desk.table(f"{name} (id text{' PRIMARY KEY' if name == 'stock' else ''}, v text)")

    def settle(self, file: FileRef, content: str | None, declared: Declared | None, problem: Problem | None) -> Settlement:
        data = content.encode() if content is not None else None
        return self._desk.loader.settle(self._desk.decrypted(file, data, declared=declared, problem=problem))

    def ledger(self) -> list[Told]:
        return sorted(self._desk.rows(f"SELECT {', '.join(LEDGER)} FROM hikyaku.files"))

    def rows(self, table: str) -> list[tuple[str, str]]:
        return sorted((row[0], row[1]) for row in self._desk.rows(f"SELECT id, v FROM {table}"))

    def marks(self) -> list[tuple[str, str, str]]:
        return sorted((row[0], row[1], row[2]) for row in self._desk.rows("SELECT dataset, value, file FROM hikyaku.watermarks"))


@pytest.fixture
def bench(desk: Desk) -> RealBench:
    return RealBench(desk)


@pytest.fixture(scope="module")
def fresh(database: Database) -> Iterator[Callable[[], RealBench]]:
    """Makes a bench on an empty ledger, as often as asked."""
    with database.connect("hikyaku_migrator") as migrator, database.connect() as owner, tempfile.TemporaryDirectory() as folder:
        desk = Desk(database, Path(folder), owner)

        def make() -> RealBench:
            migrator.execute("TRUNCATE hikyaku.files, hikyaku.groups, hikyaku.watermarks CASCADE")
            return RealBench(desk)

        yield make
        desk.loader._database.close()


@compared(60)
@given(history=histories)
def test_the_fake_says_what_postgresql_says(fresh: Callable[[], RealBench], history: list[Delivery]) -> None:
    real = told(fresh(), history)
    with tempfile.TemporaryDirectory() as folder, targets.replaced():
        assert told(FakeBench(Path(folder)), history) == real
