import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyrage
import pytest

from decryptor.app import build_app
from decryptor.settings import DecryptorSettings
from decryptor.sweeper import sweeper
from shared.contract import DecryptedParcel, FileRef, Parcel, TaskName
from shared.errors import ErrorCode
from shared.spool import partial


@pytest.fixture
def settings(tmp_path: Path) -> DecryptorSettings:
    for name in ("identities", "spool"):
        (tmp_path / name).mkdir()
    key = tmp_path / "identities" / "courier.txt"
    key.touch(0o600)
    key.write_text(str(pyrage.x25519.Identity.generate()))
    return DecryptorSettings.model_validate(
        {
            "redis_url": "redis://127.0.0.1:1/0",
            "instance": "test",
            "spool_dir": tmp_path / "spool",
            "identities_dir": tmp_path / "identities",
            "datasets": tmp_path / "datasets.toml",
        }
    )


def test_the_task_takes_a_parcel_and_gives_one_back(settings: DecryptorSettings) -> None:
    file = FileRef(
        bucket="b",
        key="incoming/orders/a.csv.gz.gpg",
        version_id="v",
        size=1,
        event_time="2026-11-12T00:00:00Z",
        received_at="2026-11-12T00:00:00Z",
        message_id="m",
    )
    task = build_app(settings).tasks[TaskName.DECRYPT]
    answer = DecryptedParcel.read(task(Parcel(parcel_id="p", files=(file,)).dump()))
    assert answer.parcel_id == "p"
    assert [item.problem and item.problem.error_code for item in answer.items] == [ErrorCode.OPENPGP_INVALID]


class Timer:
    def __init__(self) -> None:
        self.entries: list[tuple[float, Any]] = []

    def call_repeatedly(self, seconds: float, function: Any) -> None:
        self.entries.append((seconds, function))


class Consumer:
    def __init__(self) -> None:
        self.timer = Timer()


def test_the_spool_is_swept_at_start_and_every_few_minutes(settings: DecryptorSettings) -> None:
    consumer = Consumer()
    left = partial(settings.spool_dir, "f", "dead")
    left.touch()
    sweeper(settings)(consumer).start(consumer)
    assert not left.exists()
    left.touch()
    [(seconds, again)] = consumer.timer.entries
    again()
    assert seconds == settings.spool_sweep_interval
    assert not left.exists()


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HIKYAKU_")}
    command = [sys.executable, "-m", "decryptor"]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False, timeout=60)


def environment(settings: DecryptorSettings) -> dict[str, str]:
    return {
        "HIKYAKU_REDIS_URL": settings.redis_url.get_secret_value(),
        "HIKYAKU_SPOOL_DIR": str(settings.spool_dir),
        "HIKYAKU_IDENTITIES_DIR": str(settings.identities_dir),
        "HIKYAKU_DATASETS": str(settings.datasets),
    }


def test_missing_settings_are_all_named() -> None:
    process = run({})
    assert process.returncode == 2
    for name in ("REDIS_URL", "SPOOL_DIR", "IDENTITIES_DIR", "DATASETS"):
        assert f"HIKYAKU_{name}: is not set" in process.stderr
    assert "Traceback" not in process.stderr


def test_an_unusable_keyring_and_spool_are_named_together(settings: DecryptorSettings) -> None:
    key = settings.identities_dir / "courier.txt"
    key.chmod(0o640)
    settings.spool_dir.rmdir()
    process = run(environment(settings))
    assert process.returncode == 2
    assert f"{key}: mode 0640" in process.stderr
    assert f"{settings.spool_dir}: the spool is not a directory" in process.stderr
    assert "Traceback" not in process.stderr


def test_an_empty_keyring_is_refused(settings: DecryptorSettings) -> None:
    (settings.identities_dir / "courier.txt").unlink()
    process = run(environment(settings))
    assert process.returncode == 2
    assert "holds no identity file" in process.stderr


def test_a_wrong_failpoint_is_named_at_start(settings: DecryptorSettings) -> None:
    process = run(environment(settings) | {"HIKYAKU_FAILPOINTS": "decryptor.nowhere=kill"})
    assert process.returncode == 2
    assert "'decryptor.nowhere' is no failpoint" in process.stderr
    assert "Traceback" not in process.stderr
