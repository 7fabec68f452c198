"""The suite of the loader's behaviour on the fake PostgreSQL, and what only a fake can show."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from fakes import targets
from suites.fake_ledger import FakeBench
from suites.ledger import *  # noqa: F403 - the suite's tests
from suites.ledger import A, Delivery

FILE = Delivery("log/a", 1, A, "1", 0)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[FakeBench]:
    with targets.replaced():
        yield FakeBench(tmp_path)


def test_a_connection_lost_before_the_commit_leaves_nothing_and_is_tried_again(bench: FakeBench) -> None:
    lost = iter([True])

    def step(what: str) -> None:
        if what == "commit" and next(lost, False):
            assert bench.server.files == {}
            raise psycopg.OperationalError("lost")

    bench.server.step = step
    assert FILE.bring(bench)[1] == "loaded"
    assert bench.rows("log") == [("1", "a"), ("2", "a")]
    assert bench.ledger()[0][4] == 1


def test_a_commit_whose_answer_is_lost_is_not_done_again(bench: FakeBench) -> None:
    lost = iter([True])

    def step(what: str) -> None:
        if what == "committed" and next(lost, False):
            raise psycopg.OperationalError("lost")

    bench.server.step = step
    assert FILE.bring(bench)[1] == "loaded"
    assert bench.rows("log") == [("1", "a"), ("2", "a")]


def test_while_it_is_away_the_file_is_to_be_tried_again(bench: FakeBench) -> None:
    bench.server.away = True
    assert FILE.bring(bench) == ("retry", "failed", "database_unavailable")
    bench.server.away = False
    assert FILE.bring(bench)[1] == "loaded"


def test_who_waits_for_a_lock_too_long_is_to_try_again(bench: FakeBench, tmp_path: Path) -> None:
    other = FakeBench(tmp_path)
    other.server.locks = bench.server.locks

    def step(what: str) -> None:
        if what == "merge":
            assert FILE.bring(other)[2] == "timeout"

    bench.server.step = step
    # Its spool file is gone with the other's failure, but it was read before.
    assert FILE.bring(bench)[1] == "loaded"
