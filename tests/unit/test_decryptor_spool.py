import os
import subprocess
import sys
from pathlib import Path

import pytest

from decryptor import spool
from shared.errors import ErrorCode, Retryable
from shared.spool import partial, published

DAY_S = 86_400.0


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def make_old(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_what_is_not_published_is_gone(tmp_path: Path) -> None:
    with spool.attempt(tmp_path, "f") as attempt:
        attempt.write(b"x")
        assert len(files(tmp_path)) == 1
    assert files(tmp_path) == []


def test_a_published_file_holds_all_that_was_written(tmp_path: Path) -> None:
    piece = bytes(range(256)) * 300
    with spool.attempt(tmp_path, "f") as attempt:
        assert [attempt.write(piece) for _ in range(5)] == [len(piece)] * 5
        attempt.publish()
        assert published(tmp_path, "f").read_bytes() == piece * 5
    assert files(tmp_path) == ["f.csv.gz"]


def test_two_attempts_at_one_file_do_not_mix(tmp_path: Path) -> None:
    with spool.attempt(tmp_path, "f") as first, spool.attempt(tmp_path, "f") as second:
        first.write(b"first")
        second.write(b"second")
        first.publish()
        second.publish()
    assert published(tmp_path, "f").read_bytes() == b"second"


def test_a_sweep_spares_live_attempts(tmp_path: Path) -> None:
    with spool.attempt(tmp_path, "f") as attempt:
        attempt.write(b"x")
        assert spool.sweep(tmp_path, DAY_S) == 0
        attempt.publish()
    assert spool.sweep(tmp_path, DAY_S) == 0
    assert files(tmp_path) == ["f.csv.gz"]


KILLED = """
import os, pathlib, signal, sys
from decryptor import spool
with spool.attempt(pathlib.Path(sys.argv[1]), "f") as attempt:
    attempt.write(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_sweep_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert len(files(tmp_path)) == 1
    assert spool.sweep(tmp_path, DAY_S) == 1
    assert files(tmp_path) == []


def test_the_next_attempt_removes_what_a_killed_one_left_of_its_file(tmp_path: Path) -> None:
    partial(tmp_path, "f", "dead").touch()
    partial(tmp_path, "other", "dead").touch()
    with spool.attempt(tmp_path, "f") as attempt:
        attempt.publish()
    assert files(tmp_path) == [".other.dead.part", "f.csv.gz"]


def test_a_sweep_removes_published_files_that_nobody_took(tmp_path: Path) -> None:
    for name in ("old", "young"):
        published(tmp_path, name).touch()
    make_old(published(tmp_path, "old"), 101)
    make_old(published(tmp_path, "young"), 50)
    assert spool.sweep(tmp_path, 100) == 1
    assert files(tmp_path) == ["young.csv.gz"]


def test_a_sweep_touches_nothing_else(tmp_path: Path) -> None:
    for name in ("README", ".hidden", "f.csv"):
        (tmp_path / name).touch()
        make_old(tmp_path / name, DAY_S)
    assert spool.sweep(tmp_path, 1) == 0
    assert len(files(tmp_path)) == 3


def test_an_existing_partial_file_is_never_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "same")
    partial(tmp_path, "f", "same").write_bytes(b"another's")
    with spool.attempt(tmp_path, "f") as attempt:
        attempt.write(b"another's" * spool.BUFFER)
        with pytest.raises(Retryable) as caught, spool.attempt(tmp_path, "f"):
            pass
        assert caught.value.error_code == ErrorCode.SPOOL_UNAVAILABLE
        assert partial(tmp_path, "f", "same").read_bytes() == b"another's" * spool.BUFFER
