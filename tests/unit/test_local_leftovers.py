"""What a killed parent left is ended, and only that."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hikyaku.local import leftovers

WITH_CHILD = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"


@contextmanager
def _process(*command: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=cwd)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_remembered_process_is_ended_with_its_group(tmp_path: Path) -> None:
    with _process(sys.executable, "-c", WITH_CHILD) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        leftovers.remember(tmp_path / "p.json", {"poller": process.pid})
        assert leftovers.end_remembered(tmp_path / "p.json") == ["poller"]
        process.wait(timeout=30)
        assert leftovers.ends(child, 30)
        assert not (tmp_path / "p.json").exists()


def test_a_later_process_with_the_same_id_is_left_alone(tmp_path: Path) -> None:
    with _process("sleep", "600") as process:
        path = tmp_path / "p.json"
        leftovers.remember(path, {"poller": process.pid})
        path.write_text(path.read_text(encoding="utf-8").replace("]", "1]"), encoding="utf-8")
        assert leftovers.end_remembered(path) == []
        assert process.poll() is None


def test_a_dead_process_is_not_remembered(tmp_path: Path) -> None:
    with _process("true") as process:
        process.wait()
        leftovers.remember(tmp_path / "p.json", {"poller": process.pid})
        assert leftovers.recall(tmp_path / "p.json") == {}


def test_without_a_note_nothing_is_ended(tmp_path: Path) -> None:
    assert leftovers.end_remembered(tmp_path / "none.json") == []


def test_what_is_left_of_a_group_is_killed() -> None:
    with _process(sys.executable, "-c", WITH_CHILD) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        assert not leftovers.ends(child, 0)
        leftovers.end_group(process.pid)
        assert leftovers.ends(child, 30)


def test_a_group_that_is_gone_is_no_error() -> None:
    with _process("true") as process:
        process.wait()
        leftovers.end_group(process.pid)


def test_only_postgres_inside_the_data_folder_is_killed(tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    data.mkdir()
    other.mkdir()
    (data / "postmaster.pid").write_text("1\n", encoding="ascii")
    fake = tmp_path / "postgres"
    sleep = Path("/bin/sleep") if os.access("/bin/sleep", os.X_OK) else pytest.skip("no /bin/sleep")
    fake.write_bytes(sleep.read_bytes())
    fake.chmod(0o755)
    with (
        _process(str(fake), "600", cwd=data) as inside,
        _process(str(fake), "600", cwd=other) as elsewhere,
        _process("sleep", "600", cwd=data) as stranger,
    ):
        leftovers.end_inside(data)
        inside.wait(timeout=30)
        assert elsewhere.poll() is None
        assert stranger.poll() is None
    assert not (data / "postmaster.pid").exists()
