"""Nothing that the decryptor waits for may take for ever: the task's own limit, a peer that is dead, a body that only drips."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pyrage
import pytest

from decryptor import download
from decryptor.app import build_app
from decryptor.keyring import Keyring
from decryptor.settings import DecryptorSettings
from decryptor.tasks import Bench, decrypt_item
from fakes.welcome import anyone
from shared import deadline
from shared.contract import FileRef, Parcel, TaskName

SIZE = 100_000
IDENTITY = pyrage.x25519.Identity.generate()
SEALED = pyrage.encrypt(bytes(SIZE), [IDENTITY.to_public()])


def ref(size: int = len(SEALED)) -> FileRef:
    times = {"event_time": "2026-11-12T00:00:00Z", "received_at": "2026-11-12T00:00:01Z", "message_id": "m1"}
    said = {"bucket": "b", "key": "incoming/orders/a.csv.gz.age", "version_id": "v1", "size": size}
    return FileRef.model_validate(said | times)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DecryptorSettings:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("identities", "spool"):
        (tmp_path / name).mkdir(0o700)
    key = tmp_path / "identities" / "courier.txt"
    key.touch(0o600)
    key.write_text(str(IDENTITY))
    return DecryptorSettings.model_validate(
        {
            "redis_url": "redis://127.0.0.1:1/0",
            "instance": "test",
            "spool_dir": tmp_path / "spool",
            "spool_on_disk": "allow",
            "identities_dir": tmp_path / "identities",
            "datasets": tmp_path / "datasets.toml",
            "s3_connect_timeout": 0.3,
            "s3_read_timeout": 0.3,
            "s3_attempts": 2,
            "task_deadline": 30,
            "task_time_limit": 100,
        }
    )


@contextmanager
def peer(monkeypatch: pytest.MonkeyPatch, answer: bytes, drip: float | None) -> Iterator[None]:
    """S3 as a server that reads what it is sent, says `answer`, then a byte every `drip` seconds or nothing any more."""
    over = threading.Event()

    def speak(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            connection.sendall(answer)
            try:
                while drip and not over.wait(drip):
                    connection.send(b"x")
            except OSError:
                return
            over.wait()

    def accept(server: socket.socket) -> None:
        while not over.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=speak, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.getsockname()[1]}")
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        yield
        over.set()
        server.shutdown(socket.SHUT_RDWR)


def outcome(settings: DecryptorSettings, timeout: float) -> tuple[str | None, bool | None, float]:
    client = download.connect(settings)
    started = time.monotonic()
    item = decrypt_item(
        Bench(lambda: client, Keyring(settings.identities_dir), settings.spool_dir, anyone(settings.datasets), timeout=timeout), ref()
    )
    assert list(settings.spool_dir.iterdir()) == []
    return item.problem and item.problem.error_code, item.problem and item.problem.retry, time.monotonic() - started


def test_s3_that_takes_connections_and_says_nothing(settings: DecryptorSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(monkeypatch, b"", None):
        code, retry, took = outcome(settings, 60)
    assert (code, retry) == ("storage_unavailable", True)
    assert took < 10


HEAD = f'HTTP/1.1 200 OK\r\nContent-Length: {len(SEALED)}\r\nETag: "e"\r\n\r\n'.encode()


def test_s3_that_falls_silent_in_the_middle_of_a_body(settings: DecryptorSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(monkeypatch, HEAD + SEALED[:70_000], None):
        code, retry, took = outcome(settings, 60)
    assert (code, retry) == ("storage_unavailable", True)
    assert took < 10


@pytest.mark.parametrize("sent", [0, 70_000], ids=["header", "payload"])
def test_a_body_that_drips(settings: DecryptorSettings, monkeypatch: pytest.MonkeyPatch, sent: int) -> None:
    """Every byte starts the socket's timeout anew."""
    with peer(monkeypatch, HEAD + SEALED[:sent], 0.05):
        code, retry, took = outcome(settings, 1)
    assert (code, retry) == ("timeout", True)
    assert took < 5


# The alarm


class RungError(Exception):
    pass


def ring() -> NoReturn:
    raise RungError


def test_an_alarm_ends_a_wait() -> None:
    left, right = socket.socketpair()
    with left, right, pytest.raises(RungError), deadline.alarm(0.05, ring):
        left.recv(1)


def test_an_alarm_that_is_over_does_not_ring() -> None:
    with deadline.alarm(0.05, ring):
        pass
    assert not signal.sigtimedwait([signal.SIGALRM], 0.1)


def test_an_alarm_may_ring_again_and_again() -> None:
    rings: list[int] = []
    over = threading.Event()

    def count() -> None:
        rings.append(1)
        if len(rings) == 3:
            over.set()

    with deadline.alarm(0.02, count, again=True):
        assert over.wait(10)


def test_an_alarm_does_not_ring_while_it_rings() -> None:
    depths: list[int] = []
    over = threading.Event()

    def slow() -> None:
        depths.append(1)
        threading.Event().wait(0.05)
        assert depths.count(1) == 1
        depths[-1] = 0
        if len(depths) == 3:
            over.set()

    with deadline.alarm(0.01, slow, again=True):
        assert over.wait(10)


def wait_after_another_alarm() -> None:
    with deadline.alarm(60, pytest.fail):
        pass
    threading.Event().wait(10)


def test_somebody_elses_alarm_still_rings() -> None:
    with pytest.raises(RungError), deadline.alarm(0.1, ring):
        wait_after_another_alarm()


def test_a_thread_has_no_alarm() -> None:
    answers: list[str] = []

    def work() -> None:
        with deadline.alarm(0.01, ring):
            answers.append("worked")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == ["worked"]


# The task's limit


def limit(settings: DecryptorSettings, payload: Any, **headers: Any) -> Any:
    """Time limits of a message's request, as the worker asks for them."""
    app = build_app(settings)
    task = app.tasks[TaskName.DECRYPT]
    message: Any = SimpleNamespace(
        headers={"id": "i", "task": task.name, "timelimit": [None, None]} | headers,
        body=b"",
        payload=([payload], {}, {}),
        content_type="application/json",
        content_encoding="utf-8",
        properties={},
        delivery_info={},
    )
    return task.Request(message, app=app).time_limits


def parcel(*sizes: int) -> dict[str, Any]:
    return Parcel(parcel_id="p", files=tuple(ref(size) for size in sizes)).dump()


def test_a_task_is_killed_by_the_size_of_its_files(settings: DecryptorSettings) -> None:
    assert limit(settings, parcel(0)) == (30, None)
    assert limit(settings, parcel(20_000_000, 20_000_000)) == (50, None)


def test_but_never_after_the_limit_of_all_tasks(settings: DecryptorSettings) -> None:
    assert limit(settings, parcel(10**12)) == (100, None)


def test_a_messages_own_limit_counts(settings: DecryptorSettings) -> None:
    assert limit(settings, parcel(0), timelimit=[7, None]) == [7, None]


@pytest.mark.parametrize("payload", [{}, {"v": 99}, "nonsense", None])
def test_what_is_no_parcel_does_not_trouble_the_worker(settings: DecryptorSettings, payload: Any) -> None:
    assert limit(settings, payload) == (30, None)
