"""Finding the checkout, waiting, giving up, and what a person sees of it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from fakes.clock import Clock
from hikyaku import waiting
from hikyaku.errors import UserError
from hikyaku.local import app, identities, layout, lifecycle, ready, unprivileged
from hikyaku.local.layout import Layout
from hikyaku.local.progress import Progress
from hikyaku.local.state import PORT_NAMES, State
from hikyaku.local.supervise import Info, Supervisor
from hikyaku.setup.datasets import DATASETS

STATE = State("a1b2", {name: 20_000 + i for i, name in enumerate(PORT_NAMES)}, "self")


def test_the_checkout_is_found_from_below(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "{layout.WORKSPACE}"\n', encoding="utf-8")
    below = tmp_path / "services" / "poller"
    below.mkdir(parents=True)
    (tmp_path / "services" / "pyproject.toml").write_text('[project]\nname = "other"\n', encoding="utf-8")
    assert layout.find_root(below) == tmp_path


def test_outside_a_checkout_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("not toml [", encoding="utf-8")
    with pytest.raises(UserError) as raised:
        layout.find_root(tmp_path)
    assert raised.value.exit_code == 2


def test_the_folder_is_the_options_then_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIKYAKU_LOCAL_TOOLS", raising=False)
    monkeypatch.setenv("HIKYAKU_LOCAL_DIR", str(tmp_path / "env"))
    assert layout.locate(tmp_path / "option").directory == tmp_path / "option"
    found = layout.locate()
    assert found.directory == tmp_path / "env"
    assert found.tools == found.root / ".local" / "tools"


def test_waiting_ends_with_the_condition() -> None:
    clock = Clock()
    answers = iter([None, None, "there"])
    assert waiting.until(lambda: next(answers), 10, UserError("late"), clock=clock, pause=clock.advance) == "there"


def test_waiting_never_exceeds_its_bound() -> None:
    clock = Clock()
    start = clock()
    with pytest.raises(UserError, match="late"):
        waiting.until(lambda: None, 3, UserError("late"), clock=clock, pause=clock.advance)
    assert 3 <= clock() - start < 3 + 2 * waiting.INTERVAL_S


class Ending:
    """A supervisor whose program ends again and again."""

    def __init__(self, infos: Sequence[Info]) -> None:
        self._infos = iter(infos)

    def processes(self) -> dict[str, Info]:
        return {"poller": next(self._infos)}


def _wait_for(infos: Sequence[Info], tmp_path: Path) -> UserError:
    where = Layout(tmp_path, tmp_path, tmp_path)
    where.logs.mkdir(exist_ok=True)
    where.log("poller").write_text("first\n  HIKYAKU_X: is not set\n", encoding="utf-8")
    with pytest.raises(UserError) as raised:
        ready.wait(where, STATE, cast("Supervisor", Ending(infos)), "poller")
    return raised.value


def test_wrong_settings_end_the_wait_at_once(tmp_path: Path) -> None:
    error = _wait_for([Info("poller", "STARTING", 7, 1, 0, 0), Info("poller", "BACKOFF", 0, 1, 0, 2)], tmp_path)
    assert error.exit_code == 2
    assert error.lines() == [
        "hikyaku: poller ends as soon as it starts.",
        "    HIKYAKU_X: is not set",
        f"  log: {tmp_path / 'logs' / 'poller.log'}",
    ]


def test_a_program_that_dies_three_times_is_given_up(tmp_path: Path) -> None:
    error = _wait_for([Info("poller", "RUNNING", pid, 1, 0, 0) for pid in (7, 7, 8, 9)], tmp_path)
    assert error.exit_code == 1


def test_a_predecessors_sign_of_life_does_not_count(tmp_path: Path) -> None:
    where = Layout(tmp_path, tmp_path, tmp_path)
    where.run.mkdir()
    health = where.run / "poller.health"
    health.touch()
    started = int(health.stat().st_mtime)
    assert ready.serves(where, STATE, Info("poller", "RUNNING", 7, started, 1, 0))
    assert not ready.serves(where, STATE, Info("poller", "RUNNING", 7, started + 60, 1, 0))
    os.utime(health, (started - 3600, started - 3600))
    assert not ready.serves(where, STATE, Info("poller", "RUNNING", 7, started - 7200, 1, 0))
    assert not ready.serves(where, STATE, Info("poller", "EXITED", 0, started - 7200, 0, 0))


def test_two_commands_do_not_work_on_one_stack(tmp_path: Path) -> None:
    where = Layout(tmp_path, tmp_path / ".local", tmp_path)
    with lifecycle.locked(where), pytest.raises(UserError, match="at work"), lifecycle.locked(where):
        pass


def test_clean_keeps_tools_and_an_edited_datasets_file(tmp_path: Path) -> None:
    where = Layout(tmp_path, tmp_path / ".local", tmp_path / ".local" / "tools")
    for folder in (where.tools, where.postgres / "data", where.run):
        folder.mkdir(parents=True)
    where.datasets.write_text(DATASETS, encoding="utf-8")
    identities.write_receipt_signers(where)
    lifecycle.clean(where, Progress())
    assert sorted(path.name for path in where.directory.iterdir()) == ["run", "tools"]
    where.datasets.write_text(DATASETS + "[datasets.orders]\n", encoding="utf-8")
    lifecycle.clean(where, Progress())
    assert where.datasets.exists()


def test_receipts_are_checked_by_the_key_that_there_is(tmp_path: Path) -> None:
    where = Layout(tmp_path, tmp_path / ".local", tmp_path)
    lines = []
    for _ in range(2):
        identities.write_receipt_signers(where)
        lines.append(where.receipt_signers.read_text(encoding="utf-8"))
        where.receipt_key.unlink()
    assert lines[0] != lines[1]


def test_nothing_runs_before_the_first_up(tmp_path: Path) -> None:
    where = Layout(tmp_path, tmp_path / ".local", tmp_path)
    where.run.mkdir(parents=True)
    lifecycle.down(where, Progress())
    assert not where.endpoints.exists()


@pytest.mark.parametrize(("seconds", "shown"), [(0, ""), (59, "0:00:59"), (3661, "1:01:01"), (360_000, "100:00:00")])
def test_uptime_is_hours_minutes_seconds(seconds: int, shown: str) -> None:
    assert app.uptime(seconds) == shown


def test_an_ordinary_user_runs_postgres_as_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unprivileged.choose() == unprivileged.SELF


def test_a_path_that_is_not_there_can_not_be_used(tmp_path: Path) -> None:
    assert unprivileged.may_use(unprivileged.SELF, tmp_path)
    assert not unprivileged.may_use(unprivileged.SELF, tmp_path, tmp_path / "missing")
