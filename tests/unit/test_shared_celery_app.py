"""The facts of Celery's configuration that the line's promises rest on."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from celery import Celery, current_app
from celery.app.defaults import NAMESPACES, flatten
from celery.worker.control import Panel
from pydantic import SecretStr

from shared import celery_app, flower
from shared.contract import QueueName
from shared.lease import Lease
from shared.settings import CommonSettings, WorkerSettings

SETTINGS = CommonSettings.model_validate(
    {"redis_url": "redis://u:s3cret@r.invalid:6379/0", "instance": "d1", "broker_visibility_timeout": 77}
)


@pytest.fixture
def app() -> Celery:
    return celery_app.build(QueueName.DECRYPT, SETTINGS, time_limit=100)


def test_a_task_is_given_back_when_its_worker_dies(app: Celery) -> None:
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert app.conf.worker_prefetch_multiplier == 1


def test_a_task_that_fails_or_is_killed_for_its_time_is_not_repeated_by_celery(app: Celery) -> None:
    """Retries are SQS's."""
    assert app.conf.task_acks_on_failure
    assert app.conf.task_acks_on_timeout
    assert app.conf.task_time_limit == 100


def test_only_json_travels_and_nothing_is_kept(app: Celery) -> None:
    assert (app.conf.task_serializer, app.conf.accept_content) == ("json", ["json"])
    assert app.conf.result_backend is None
    assert app.conf.task_ignore_result


def test_the_broker_may_be_away_for_as_long_as_it_likes_but_no_call_hangs(app: Celery) -> None:
    assert app.conf.broker_connection_max_retries is None
    assert app.conf.broker_connection_retry_on_startup
    options = app.conf.broker_transport_options
    assert 0 < options["socket_timeout"] <= 60
    assert 0 < options["socket_connect_timeout"] <= 60


def test_a_dead_workers_tasks_are_handed_on_soon(app: Celery) -> None:
    options = app.conf.broker_transport_options
    assert options["visibility_timeout"] == 77
    assert options["unacked_restore_interval"] * options["unacked_restore_throttle"] <= 10
    assert Lease in app.steps["consumer"]


def test_each_role_has_its_own_unacked_keys() -> None:
    """So that a Redis ACL can part them."""
    names = ("unacked_key", "unacked_index_key", "unacked_mutex_key")
    roles = (*QueueName, celery_app.FLOWER)
    keys = {role: [celery_app.build(role, SETTINGS).conf.broker_transport_options[name] for name in names] for role in roles}
    assert len({key for each in keys.values() for key in each}) == len(roles) * len(names)
    assert all(key.startswith(f"unacked.{role}") for role, each in keys.items() for key in each)


def test_a_worker_consumes_its_roles_queue_unless_told(app: Celery) -> None:
    assert [queue.name for queue in app.conf.task_queues] == ["decrypt"]
    told = celery_app.build(QueueName.SETTLE, SETTINGS, queue="settle.p1")
    assert [queue.name for queue in told.conf.task_queues] == ["settle.p1"]
    assert told.conf.task_default_queue == "settle.p1"
    both = celery_app.build(QueueName.DECRYPT, SETTINGS, more=[str(QueueName.TIDY)])
    assert [queue.name for queue in both.conf.task_queues] == ["decrypt", "decrypt.tidy"]
    assert both.conf.task_default_queue == "decrypt"


def test_an_app_does_not_become_everyones(app: Celery) -> None:
    assert current_app != app


def test_flower_sees_tasks_sent_and_done(app: Celery) -> None:
    assert app.conf.worker_send_task_events
    assert app.conf.task_send_sent_event


def test_a_worker_is_prefork_and_named_for_its_instance(app: Celery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[list[str]] = []

    def started(_self: Celery, argv: list[str]) -> None:
        calls.append(argv)

    monkeypatch.setattr(Celery, "worker_main", started)
    settings = WorkerSettings.model_validate(
        {"redis_url": "redis://r.invalid", "instance": "d1", "concurrency": 3, "spool_dir": tmp_path, "datasets": tmp_path / "d"}
    )
    celery_app.run_worker(app, "decryptor", settings)
    [arguments] = calls
    assert {"worker", "--hostname=decryptor@d1", "--concurrency=3", "--pool=prefork"} <= set(arguments)
    assert {"--without-gossip", "--without-mingle"} <= set(arguments)
    assert app.conf.worker_soft_shutdown_timeout > 0


@pytest.mark.parametrize("service", ["decryptor", "loader"])
def test_sigterm_hands_a_long_task_back_in_time(service: str) -> None:
    """Without the remapping a stop would wait for the task without end. Celery settles it when it is imported, so: in a new process."""
    code = f"import {service}.__main__, celery.apps.worker as worker; print(worker.REMAP_SIGTERM)"
    environment = {name: value for name, value in os.environ.items() if name != "REMAP_SIGTERM"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "SIGQUIT"


def test_without_tls_nothing_is_said_of_it(app: Celery) -> None:
    assert not app.conf.broker_use_ssl


def test_with_tls_the_certificate_and_its_name_are_checked(tmp_path: Path) -> None:
    """kombu's own default for rediss:// checks neither."""
    settings = CommonSettings.model_construct(**dict(SETTINGS) | {"redis_url": SecretStr("rediss://r.invalid"), "redis_ca": tmp_path})
    wanted = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, "ssl_ca_certs": str(tmp_path)}
    assert celery_app.build(QueueName.DECRYPT, settings).conf.broker_use_ssl == wanted


def test_a_worker_takes_no_orders_over_redis(app: Celery) -> None:
    assert set(Panel.data) <= celery_app.REMOTE_COMMANDS
    assert {"ping", "active_queues", "stats", "enable_events", "heartbeat"} <= set(Panel.data)


# Flower


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    calls: list[list[str]] = []
    monkeypatch.setattr(Celery, "start", lambda _self, argv: calls.append(argv))
    monkeypatch.setattr("shared.logging.configure", lambda *_: None)
    for name, value in {"REDIS_URL": "redis://r.invalid", "INSTANCE": "f1"}.items():
        monkeypatch.setenv(f"HIKYAKU_{name}", value)
    before = current_app._get_current_object()  # type: ignore[attr-defined]  # it is a proxy
    yield calls
    before.set_current()


def test_flower_is_read_only_with_a_login_on_loopback(started: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIKYAKU_FLOWER_AUTH", "user:hunter2")
    flower.main()
    [argv] = started
    assert {"flower", "--address=127.0.0.1", "--basic-auth=user:hunter2", "--read_only=True"} <= set(argv)


def test_flower_is_bounded_and_keeps_its_state_only_where_told(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HIKYAKU_FLOWER_AUTH", "user:hunter2")
    flower.main()
    names = {argument.partition("=")[0] for argument in started[0]}
    assert {"--max_tasks", "--max_workers", "--purge_offline_workers"} <= names
    assert not {"--persistent", "--db"} & names
    monkeypatch.setenv("HIKYAKU_FLOWER_STATE", str(tmp_path / "state"))
    flower.main()
    assert {"--persistent=True", f"--db={tmp_path}/state", "--state_save_interval=30000"} <= set(started[1])


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("None", ""),
        ("{'v': 1, 'items': [{'v': 1, 'file': {...}, 'signer': None, 'problem': None}]}", "decrypted"),
        ("{'items': [{'file': {...}, 'problem': {...}}, {'file': {...}, 'problem': None}]}", "1 not decrypted, 1 decrypted"),
        ("{'settlements': [{'verdict': 'done', 'status': 'loaded', 'error_code': None, 'error': None}]}", "loaded"),
        (
            "[{'status': 'loaded', 'error_code': None}, {'status': 'rejected', 'error_code': 'csv_malformed', 'err...",
            "1 loaded, 1 rejected (csv_malformed)",
        ),
        ("[{'status': 'loaded'}, {'status': 'loaded'}, {'status': 'dup...", "2 loaded"),
    ],
)
def test_a_result_tells_what_became_of_the_files(result: str, said: str) -> None:
    assert flower.outcome(result) == said
    shown = flower.with_outcome(SimpleNamespace(result=result))
    assert shown.result == (f"{said} · {result}" if said else result)


def test_a_task_without_a_result_is_shown_as_it_is() -> None:
    assert flower.with_outcome(SimpleNamespace(result=None)).result is None


def test_flower_has_a_role_of_its_own(started: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIKYAKU_FLOWER_AUTH", "user:hunter2")
    monkeypatch.setenv("HIKYAKU_FLOWER_TIMEZONE", "Asia/Tokyo")
    flower.main()
    assert current_app.conf.broker_transport_options["unacked_key"] == "unacked.flower"
    assert str(current_app.timezone) == "Asia/Tokyo", "Flower asks the current app"


def test_flower_never_starts_without_a_login(started: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        flower.main()
    assert caught.value.code == 2
    assert "HIKYAKU_FLOWER_AUTH: is not set" in capsys.readouterr().err
    assert started == []


def test_flowers_login_may_be_a_file(started: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "auth").write_text("user:from-file\n")
    monkeypatch.setenv("HIKYAKU_FLOWER_AUTH_FILE", str(tmp_path / "auth"))
    flower.main()
    assert "--basic-auth=user:from-file" in started[0]
    assert not any("from-file" in argument for argument in sys.argv)


@pytest.mark.parametrize("login", ["userwithoutpassword", ":", "user:"])
def test_a_login_that_is_none_is_a_wrong_setting(started: list[list[str]], monkeypatch: pytest.MonkeyPatch, login: str) -> None:
    monkeypatch.setenv("HIKYAKU_FLOWER_AUTH", login)
    with pytest.raises(SystemExit) as caught:
        flower.main()
    assert caught.value.code == 2


def test_celery_knows_every_setting_by_its_name(app: Celery) -> None:
    """Celery takes a misspelt one in silence."""
    known = {str(option[0]) for option in flatten(NAMESPACES)}
    ours: dict[str, object] = app.conf.changes or {}
    assert len(ours) > 20
    assert set(ours) - known - {"deprecated_settings"} == set()


def test_redis_is_looked_for_every_few_seconds_however_long_it_is_away(app: Celery) -> None:
    waits: list[float] = []

    class EnoughError(Exception):
        pass

    def failed(_error: Exception, interval: float) -> None:
        waits.append(interval)
        if len(waits) == 12:
            raise EnoughError

    app.conf.broker_url = "redis://127.0.0.1:1/0"
    connection = app.connection_for_read()
    with mock.patch("kombu.utils.functional.sleep"), pytest.raises(EnoughError):
        # As Celery's consumer calls it.
        connection.ensure_connection(failed, None, callback=lambda: None)
    assert max(waits) <= 5
    assert waits[-1] == 5
