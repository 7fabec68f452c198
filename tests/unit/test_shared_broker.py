"""How long anybody waits for Redis or SQS: set in one place, in proportion, documented. What a process says when it ends or is asked."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from kombu.transport import virtual
from pydantic import ValidationError

from decryptor.settings import DecryptorSettings
from loader.settings import LoaderSettings, MigrateSettings
from poller.settings import PollerSettings
from shared import broker, celery_app
from shared.contract import QueueName
from shared.settings import CommonSettings, load

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
SERVICES = (PollerSettings, DecryptorSettings, LoaderSettings, MigrateSettings)
POLLER = {"queue_url": "q", "dlq_url": "d", "bucket": "b"}


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "x")


def common(**said: Any) -> CommonSettings:
    return CommonSettings.model_validate({"redis_url": "redis://unused.invalid", "instance": "x"} | said)


def poller(**said: Any) -> PollerSettings:
    return PollerSettings.model_validate({"redis_url": "redis://unused.invalid", "instance": "x"} | POLLER | said)


def test_a_message_whose_acknowledgement_redis_does_not_hear_is_let_go() -> None:
    """Else the consumer, which holds one at a time, would never read again: see `broker.SteadyQoS`."""
    app = celery_app.build(QueueName.SETTLE, common(redis_url="redis://127.0.0.1:1/0", redis_connect_timeout=1))
    channel = app.connection().transport.Channel
    for let_go in ("ack", "reject"):
        qos = channel.QoS(mock.Mock(**{"conn_or_acquire.side_effect": ConnectionError("gone")}), prefetch_count=1)
        virtual.QoS.append(qos, mock.Mock(), "tag")
        assert not qos.can_consume()
        with pytest.raises(ConnectionError):
            getattr(qos, let_go)("tag")
        assert qos.can_consume(), let_go


def test_every_wait_for_redis_is_as_set() -> None:
    made = common(redis_connect_timeout=3, redis_socket_timeout=7)
    options = celery_app.build(QueueName.LOAD, made).conf.broker_transport_options
    assert (options["socket_connect_timeout"], options["socket_timeout"]) == (3, 7)
    with broker.client(made) as client:
        pool = client.connection_pool.connection_kwargs
    assert (pool["socket_connect_timeout"], pool["socket_timeout"]) == (3, 3)


@pytest.mark.parametrize(("lease", "silence"), [(60, 30), (600, 30), (40, 20), (10, 5)])
def test_unless_told_a_worker_gives_redis_up_before_its_tasks_go_to_another(lease: int, silence: int) -> None:
    made = common(broker_visibility_timeout=lease)
    assert celery_app.build(QueueName.LOAD, made).conf.broker_transport_options["socket_timeout"] == silence


@pytest.mark.parametrize(("visible", "silence"), [(120, 30), (43200, 30), (30, 15), (10, 5)])
def test_unless_told_the_poller_gives_redis_up_before_its_messages_go_to_another(visible: int, silence: int) -> None:
    made = poller(visibility_timeout=visible)
    assert celery_app.build(QueueName.SETTLE, made).conf.broker_transport_options["socket_timeout"] == silence


TOGETHER: list[tuple[dict[str, int], str]] = [
    ({"redis_connect_timeout": 31, "redis_socket_timeout": 30}, "redis_socket_timeout"),
    ({"redis_connect_timeout": 61}, "redis_socket_timeout"),
    ({"redis_socket_timeout": 8, "broker_visibility_timeout": 10}, "redis_socket_timeout"),
    ({"redis_socket_timeout": 30, "visibility_timeout": 34}, "visibility_timeout"),
    ({"sqs_read_timeout": 116}, "sqs_read_timeout"),
    ({"sqs_connect_timeout": 7, "visibility_timeout": 10}, "sqs_read_timeout"),
]


@pytest.mark.parametrize(("said", "complained_of"), TOGETHER)
def test_waits_that_do_not_fit_together_are_refused(said: dict[str, int], complained_of: str) -> None:
    with pytest.raises(ValidationError) as refused:
        poller(**said)
    [error] = refused.value.errors()
    assert error["loc"] == (complained_of,)
    assert "would go to another" in error["msg"]


@pytest.mark.parametrize(
    "said",
    [
        {"redis_connect_timeout": 30, "redis_socket_timeout": 30},
        {"redis_socket_timeout": 30, "visibility_timeout": 35},
        {"sqs_read_timeout": 115},
        {"visibility_timeout": 10, "broker_visibility_timeout": 10},
    ],
)
def test_waits_that_just_fit_are_taken(said: dict[str, int]) -> None:
    assert {name: getattr(poller(**said), name) for name in said} == said


def test_what_does_not_fit_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in ({"redis_url": "redis://r.invalid", "redis_socket_timeout": "600", "visibility_timeout": "300"} | POLLER).items():
        monkeypatch.setenv(f"HIKYAKU_{name.upper()}", value)
    with pytest.raises(SystemExit) as ended:
        load(PollerSettings)
    assert ended.value.code == 2
    assert "HIKYAKU_REDIS_SOCKET_TIMEOUT: together with HIKYAKU_REDIS_CONNECT_TIMEOUT (5 s) is longer than" in capsys.readouterr().err


def test_the_docs_list_every_timeout_with_its_default() -> None:
    text = DOCS.read_text(encoding="utf-8").partition("## Timeouts")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| `HIKYAKU_(\w+)` \|[^|]*\| ([\d,]+|–) ", text, re.MULTILINE))
    fields = {name: field for settings in SERVICES for name, field in settings.model_fields.items()}
    waits = re.compile(r"_(timeout|wait|deadline|limit|check_interval)$")
    assert {name.upper() for name in fields if waits.search(name)} == listed.keys()
    for name, default in listed.items():
        expected = fields[name.lower()].default
        assert default == ("–" if expected is None else f"{expected:,}"), name


# How a worker ends

WORKER = """
import os, signal, sys
from celery import bootsteps, signals
from shared import celery_app
from shared.contract import QueueName
from shared.settings import WorkerSettings

settings = WorkerSettings.model_validate({"redis_url": "redis://unused.invalid", "instance": "x", "spool_dir": ".", "datasets": "d"})
app = celery_app.build(QueueName.LOAD, settings)
app.conf.update(broker_url="memory://", broker_transport_options={"visibility_timeout": 60})

class Broken(bootsteps.StartStopStep):
    def start(self, parent):
        raise RuntimeError("as when no process can be started")

def stop(**_):
    os.kill(os.getpid(), signal.SIGTERM)

if sys.argv[1] == "broken":
    app.steps["worker"].add(Broken)
signals.worker_ready.connect(stop)
sys.exit(celery_app.run_worker(app, "loader", settings))
"""


@pytest.mark.parametrize(("how", "code"), [("broken", 1), ("stopped", 0)])
def test_a_worker_that_gave_up_ends_with_1_and_one_that_was_stopped_with_0(how: str, code: int, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WORKER, how], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr[-2000:]
    assert ("Unrecoverable error" in done.stderr) == (how == "broken")


# What the health check says


def health(path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HIKYAKU_HEALTH_FILE": str(path)}
    return subprocess.run([sys.executable, "-m", "shared.health"], env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("text", "seconds", "code", "said"),
    [
        ("postgresql away for 7 s\n", 0, 0, r"last sign of life [0-9] s ago: postgresql away for 7 s\n"),
        ("all is there\n", 300, 1, r"last sign of life 30\d s ago: all is there\n"),
        ("", 0, 0, r"last sign of life [0-9] s ago\n"),
        (None, 0, 1, r"no sign of life yet: there is no \S+\n"),
    ],
)
def test_the_health_check_tells_what_is_away(tmp_path: Path, text: str | None, seconds: int, code: int, said: str) -> None:
    path = tmp_path / "health"
    if text is not None:
        path.write_text(text, encoding="utf-8")
        written = path.stat().st_mtime
        os.utime(path, (written - seconds, written - seconds))
    done = health(path)
    assert done.returncode == code
    assert re.fullmatch(said, done.stdout), done.stdout


def test_a_sign_of_life_that_cannot_be_read_is_one(tmp_path: Path) -> None:
    """A folder stands for a file of another's."""
    done = health(tmp_path)
    assert done.returncode == 0
    assert "Is a directory" in done.stdout
