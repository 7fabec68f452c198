"""Each service gets its own credentials only, and is started with exactly the environment that was written down."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from hikyaku.local import aws, program, programs
from hikyaku.local.layout import Layout
from hikyaku.local.state import PORT_NAMES, State

STATE = State("a1b2", {name: 20_000 + i for i, name in enumerate(PORT_NAMES)}, "self")
OUTPUTS = aws.Outputs("bucket", "http://127.0.0.1/q", "http://127.0.0.1/dlq")
CALLER = {"PATH": "/bin", "HIKYAKU_VISIBILITY_TIMEOUT": "10", "AWS_SECRET_ACCESS_KEY": "theirs"}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    where = Layout(tmp_path, tmp_path / ".local", tmp_path / "tools")
    where.run.mkdir(parents=True)
    return where


def _line(layout: Layout, caller: dict[str, str] | None = None) -> dict[str, program.Program]:
    return {told.name: told for told in programs.line(layout, STATE, OUTPUTS, CALLER if caller is None else caller)}


def test_each_service_has_its_own_credentials_only(layout: Layout) -> None:
    line = _line(layout)
    for name, told in line.items():
        assert told.env["HIKYAKU_REDIS_URL_FILE"].endswith(f"/redis/{name}.url")
    assert {n for n, t in line.items() if any(k.startswith("AWS_") for k in t.env)} == {"poller", "decryptor"}
    assert {n for n, t in line.items() if "HIKYAKU_DATABASE_URL_FILE" in t.env} == {"loader"}
    assert {n for n, t in line.items() if "HIKYAKU_IDENTITIES_DIR" in t.env} == {"decryptor"}
    assert {n for n, t in line.items() if "HIKYAKU_FLOWER_AUTH_FILE" in t.env} == {"flower"}
    for name in ("poller", "decryptor"):
        assert line[name].env["AWS_SHARED_CREDENTIALS_FILE"].endswith(f"/{name}/aws_credentials")


def test_no_environment_holds_a_secret(layout: Layout) -> None:
    for told in [*_line(layout).values(), *programs.backends(layout, STATE, CALLER)]:
        assert "theirs" not in told.env.values()
        assert not any("PASSWORD" in name or name in {"HIKYAKU_REDIS_URL", "HIKYAKU_DATABASE_URL"} for name in told.env)


def test_the_callers_settings_reach_all_services(layout: Layout) -> None:
    assert all(told.env["HIKYAKU_VISIBILITY_TIMEOUT"] == "10" for told in _line(layout).values())


def test_the_local_poller_receives_briefly_unless_told_otherwise(layout: Layout) -> None:
    assert _line(layout)["poller"].env["HIKYAKU_RECEIVE_WAIT"] == "2"
    assert _line(layout, {"HIKYAKU_RECEIVE_WAIT": "7"})["poller"].env["HIKYAKU_RECEIVE_WAIT"] == "7"


def test_senders_are_known_from_a_file_of_the_stack_unless_told_otherwise(layout: Layout) -> None:
    line = _line(layout)
    assert {n for n, t in line.items() if "HIKYAKU_ALLOWED_SIGNERS" in t.env} == {"decryptor"}
    assert line["decryptor"].env["HIKYAKU_ALLOWED_SIGNERS"] == str(layout.datasets.with_name("allowed_signers"))
    assert _line(layout, {"HIKYAKU_ALLOWED_SIGNERS": "/x"})["decryptor"].env["HIKYAKU_ALLOWED_SIGNERS"] == "/x"


def test_the_spool_may_be_the_callers(layout: Layout) -> None:
    assert _line(layout)["loader"].env["HIKYAKU_SPOOL_DIR"] == str(layout.spool)
    assert _line(layout, {"HIKYAKU_SPOOL_DIR": "/spool"})["loader"].env["HIKYAKU_SPOOL_DIR"] == "/spool"


@pytest.mark.parametrize("service", ["decryptor", "loader"])
def test_only_the_stacks_own_spool_may_lie_on_a_disk(layout: Layout, service: str) -> None:
    assert _line(layout)[service].env["HIKYAKU_SPOOL_ON_DISK"] == "allow"
    assert "HIKYAKU_SPOOL_ON_DISK" not in _line(layout, {"HIKYAKU_SPOOL_DIR": "/spool"})[service].env
    assert _line(layout, {"HIKYAKU_SPOOL_ON_DISK": "refuse"})[service].env["HIKYAKU_SPOOL_ON_DISK"] == "refuse"


def test_what_is_written_is_read_again(layout: Layout) -> None:
    told = _line(layout)["poller"]
    assert program.write(layout, told) == []
    assert program.read(program.record(layout, "poller")) == told
    assert program.record(layout, "poller").stat().st_mode & 0o777 == 0o600


def test_a_change_is_named_once(layout: Layout) -> None:
    told = _line(layout)["poller"]
    program.write(layout, told)
    changed = replace(told, env={**told.env, "HIKYAKU_VISIBILITY_TIMEOUT": "11", "HIKYAKU_NEW": "x"}, argv=("x",))
    assert program.write(layout, changed) == ["HIKYAKU_NEW", "HIKYAKU_VISIBILITY_TIMEOUT", "command"]
    assert program.write(layout, changed) == []


def test_another_locale_restarts_nothing(layout: Layout) -> None:
    told = _line(layout)["poller"]
    program.write(layout, told)
    assert program.write(layout, replace(told, env={**told.env, "LANG": "ja_JP.UTF-8"})) == []


def test_a_program_starts_with_exactly_its_own_environment(layout: Layout) -> None:
    awkward = {"HIKYAKU_A": "50% \"'\n;#", "PATH": "/bin"}
    code = "import json, os; print(json.dumps([dict(os.environ), os.getpid()]))"
    program.write(layout, program.Program("x", (sys.executable, "-I", "-c", code), awkward))
    process = subprocess.Popen(
        [sys.executable, "-m", "hikyaku.local.run", str(program.record(layout, "x"))],
        stdout=subprocess.PIPE,
        env={**os.environ, "SUPERVISOR_SECRET": "x"},
    )
    output, _ = process.communicate(timeout=60)
    environment, pid = json.loads(output)
    environment.pop("LC_CTYPE", None)  # Python's own, PEP 538
    assert environment == awkward
    assert pid == process.pid


def test_every_service_gives_memory_back_as_in_a_container(layout: Layout) -> None:
    """glibc keeps what a large file took, in as many arenas as there are threads, unless told otherwise (mallopt(3))."""
    compose = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    for name, told in _line(layout).items():
        asked = {key: value for key, value in told.env.items() if key.startswith("MALLOC_")}
        assert asked == programs.MEMORY
        assert compose[name]["environment"].items() >= asked.items()
