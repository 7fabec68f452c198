import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyrage
import pytest
from structlog.testing import capture_logs

from decryptor.app import _senders, build_app
from decryptor.settings import DecryptorSettings
from decryptor.sweeper import sweeper
from fakes.senders import make_key, public
from shared.contract import DecryptedParcel, FileRef, Parcel, QueueName, TaskName
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
            "spool_on_disk": "allow",
            "identities_dir": tmp_path / "identities",
            "datasets": tmp_path / "datasets.toml",
        }
    )


def test_both_tasks_are_there_and_both_queues_consumed(settings: DecryptorSettings) -> None:
    app = build_app(settings)
    assert {TaskName.DECRYPT, TaskName.TIDY} <= set(app.tasks)
    assert [queue.name for queue in app.conf.task_queues] == [QueueName.DECRYPT, QueueName.TIDY]


def test_the_task_takes_a_parcel_and_gives_one_back(settings: DecryptorSettings) -> None:
    file = FileRef(
        bucket="b",
        key="incoming/a.csv.gz.gpg",
        version_id="v",
        size=1,
        event_time="2026-11-12T00:00:00Z",
        received_at="2026-11-12T00:00:00Z",
        message_id="m",
    )
    task = build_app(settings).tasks[TaskName.DECRYPT]
    answer = DecryptedParcel.read(task(Parcel(parcel_id="p", files=(file,)).dump()))
    assert answer.parcel_id == "p"
    assert [item.problem and item.problem.error_code for item in answer.items] == [ErrorCode.DATASET_INVALID]


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
        "HIKYAKU_SPOOL_ON_DISK": str(settings.spool_on_disk),
        "HIKYAKU_IDENTITIES_DIR": str(settings.identities_dir),
        "HIKYAKU_DATASETS": str(settings.datasets),
    }


def test_it_says_when_signatures_are_required_and_nobody_is_known(settings: DecryptorSettings, tmp_path: Path) -> None:
    def said(**changes: Any) -> list[str]:
        with capture_logs() as logs:
            build_app(settings.model_copy(update=changes))
        return [entry["path"] for entry in logs if entry["event"] == "nobody_is_known"]

    path = tmp_path / "allowed_signers"
    assert said() == ["HIKYAKU_ALLOWED_SIGNERS is not set"]
    assert said(allowed_signers=path) == [str(path)]
    path.write_text(f"acme {public(make_key(tmp_path / 'key'))}\n")
    assert said(allowed_signers=path) == []
    settings.datasets.write_text('[defaults]\nsignature = "if_present"\n')
    assert said() == []
    settings.datasets.write_text('[defaults]\nsignature = "if_present"\n[datasets.orders]\nsignature = "required"\n')
    assert said() == ["HIKYAKU_ALLOWED_SIGNERS is not set"]


def test_the_age_of_manifests_is_a_setting(settings: DecryptorSettings) -> None:
    _, senders, _ = _senders(settings.model_copy(update={"manifest_max_age": 5}))
    assert senders is not None
    assert senders._max_age == 5


def test_files_that_say_who_may_send_what_must_be_right_at_start(settings: DecryptorSettings, tmp_path: Path) -> None:
    settings.datasets.write_text('[defaults]\nsignature = "maybe"\n')
    (tmp_path / "allowed_signers").write_text("acme\n")
    process = run({**environment(settings), "HIKYAKU_ALLOWED_SIGNERS": str(tmp_path / "allowed_signers")})
    assert process.returncode == 2
    assert f"HIKYAKU_DATASETS: {settings.datasets}: line 2: defaults.signature" in process.stderr
    assert f"HIKYAKU_ALLOWED_SIGNERS: {tmp_path / 'allowed_signers'}: line 1: " in process.stderr
    assert "Traceback" not in process.stderr


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
