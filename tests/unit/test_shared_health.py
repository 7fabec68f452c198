import os
import sys
from pathlib import Path

import pytest
from celery import signals

from shared import celery_app, health
from shared.contract import QueueName
from shared.settings import CommonSettings


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "alive"
    monkeypatch.setenv("HIKYAKU_HEALTH_FILE", str(path))
    monkeypatch.setattr(sys, "argv", ["health"])
    return path


def made_old(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_a_fresh_file_is_healthy(path: Path) -> None:
    health.touch(path)
    assert health.main() == 0


def test_a_stale_or_missing_file_is_not(path: Path) -> None:
    assert health.main() == 1
    health.touch(path)
    made_old(path, health.DEFAULT_MAX_AGE + 5)
    assert health.main() == 1
    health.touch(path)
    assert health.main() == 0


def test_the_limit_can_be_given(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    health.touch(path)
    made_old(path, 500)
    monkeypatch.setattr(sys, "argv", ["health", "--max-age", "1000"])
    assert health.main() == 0


def test_without_a_path_the_check_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("HIKYAKU_HEALTH_FILE", raising=False)
    monkeypatch.setattr(sys, "argv", ["health"])
    health.touch(None)
    assert health.main() == 2
    assert "HIKYAKU_HEALTH_FILE is not set" in capsys.readouterr().err


def test_the_age_of_a_missing_file_is_infinite(tmp_path: Path) -> None:
    assert health.age(tmp_path / "nowhere", now=0.0) == float("inf")


def test_a_worker_that_sends_heartbeats_is_alive(tmp_path: Path) -> None:
    path = tmp_path / "alive"
    settings = CommonSettings.model_validate({"redis_url": "redis://unused.invalid", "instance": "d1", "health_file": path})
    celery_app.build(QueueName.DECRYPT, settings)
    signals.heartbeat_sent.send(sender=None)
    assert path.exists()


def test_the_heartbeat_of_the_pollers_worker_is_no_sign_of_life(tmp_path: Path) -> None:
    """Its settler may be well while its keeper hangs: only the keeper touches the file, see test_poller_threads."""
    path = tmp_path / "alive"
    settings = CommonSettings.model_validate({"redis_url": "redis://unused.invalid", "instance": "p1", "health_file": path})
    celery_app.build(QueueName.SETTLE, settings, queue="settle.p1")
    signals.heartbeat_sent.send(sender=None)
    assert not path.exists()
