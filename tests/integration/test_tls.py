"""TLS to Redis and to PostgreSQL: who presents no certificate of the right CA for the right name gets nothing."""

import contextlib
import os
import signal
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import postgres_fixture
import psycopg
import pytest
import redis_fixture
import role_worker
import tls_fixture
from line import eventually
from postgres_fixture import Server
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from fakes.line import file_ref
from loader import migrate
from loader.database import Database
from shared import broker, celery_app
from shared.contract import Parcel, QueueName, TaskName, settle_queue
from shared.settings import CommonSettings

START_S = 40
UNKNOWN = "certificate verify failed: unable to get local issuer certificate"
OTHER = "certificate verify failed: IP address mismatch"
CASES = ("another CA", "the system's CAs", "another name")
server = postgres_fixture.server


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> tls_fixture.Authority:
    return tls_fixture.authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture(scope="module")
def other_ca(tmp_path_factory: pytest.TempPathFactory) -> tls_fixture.Authority:
    return tls_fixture.authority(tmp_path_factory.mktemp("tls") / "other")


# Redis


@pytest.fixture(scope="module")
def plain_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("redis")
    (folder / "users.acl").write_text("user health on nopass -@all +ping\nuser default on nopass ~* &* +@all\n")
    with redis_fixture.running(folder, options=["--aclfile", str(folder / "users.acl")]) as port:
        yield port


@pytest.fixture(scope="module")
def redis_port(plain_port: int, ca: tls_fixture.Authority) -> Iterator[int]:
    with tls_fixture.front(plain_port, ca.issue("IP:127.0.0.1")) as port:
        yield port


@pytest.fixture(scope="module")
def misnamed_port(plain_port: int, ca: tls_fixture.Authority) -> Iterator[int]:
    with tls_fixture.front(plain_port, ca.issue("DNS:redis.example")) as port:
        yield port


def settings(port: int, trusted: tls_fixture.Authority | None) -> CommonSettings:
    return CommonSettings(
        redis_url=f"rediss://127.0.0.1:{port}/0", redis_ca=trusted.certificate if trusted else None, instance=role_worker.INSTANCE
    )


def environment(made: CommonSettings, folder: Path) -> dict[str, str]:
    return {
        "HIKYAKU_REDIS_URL": made.redis_url.get_secret_value(),
        "HIKYAKU_REDIS_CA": str(made.redis_ca or ""),
        "HIKYAKU_INSTANCE": "w1",
        "HIKYAKU_SPOOL_DIR": str(folder),
        "HIKYAKU_DATASETS": str(folder / "datasets.toml"),
        "HIKYAKU_LOG_FORMAT": "json",
        "HIKYAKU_CONCURRENCY": "1",
    }


@contextlib.contextmanager
def program(log: Path, env: dict[str, str], *argv: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *argv], env=os.environ | env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def worker(role: QueueName, env: dict[str, str], folder: Path) -> Iterator[Path]:
    log = folder / f"{role}.log"
    with program(log, env, role_worker.__file__, role):
        yield log


def test_workers_carry_tasks_over_tls_and_flower_looks_on(redis_port: int, ca: tls_fixture.Authority, tmp_path: Path) -> None:
    env = environment(settings(redis_port, ca), tmp_path)
    port = redis_fixture.free_port()
    window = {"HIKYAKU_FLOWER_PORT": str(port), "HIKYAKU_FLOWER_AUTH": "operator:opensesame"}
    with (
        worker(QueueName.DECRYPT, env, tmp_path),
        worker(QueueName.SETTLE, env, tmp_path),
        worker(QueueName.LOAD, env, tmp_path),
        program(tmp_path / "flower.log", env | window, "-m", "shared.flower"),
    ):
        app = celery_app.build(QueueName.SETTLE, settings(redis_port, ca))
        links = [
            app.signature(str(TaskName.DECRYPT), args=[Parcel(parcel_id="x", files=(file_ref("a"),)).dump()], queue="decrypt"),
            app.signature(str(TaskName.LOAD), queue="load"),
            app.signature(str(TaskName.SETTLE), queue=settle_queue(role_worker.INSTANCE)),
        ]
        (links[0] | links[1] | links[2]).apply_async()
        app.close()
        eventually((tmp_path / "x").exists, what="the chain went through", timeout=START_S)
        eventually(lambda: queue_lengths(port), what="Flower reads the queues' lengths", timeout=START_S)


def queue_lengths(port: int) -> str:
    """Flower opens a connection of its own kind for them."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/queues/length")
    request.add_header("Authorization", f"Basic {b64encode(b'operator:opensesame').decode()}")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - likewise
            return response.read().decode() if response.status == 200 else ""
    except OSError:
        return ""


def test_the_pollers_own_look_at_redis_goes_over_tls(redis_port: int, ca: tls_fixture.Authority) -> None:
    with broker.client(settings(redis_port, ca)) as client:
        assert client.ping()


@pytest.fixture
def refusals(
    redis_port: int, misnamed_port: int, ca: tls_fixture.Authority, other_ca: tls_fixture.Authority
) -> dict[str, tuple[CommonSettings, str]]:
    return {
        "another CA": (settings(redis_port, other_ca), UNKNOWN),
        "the system's CAs": (settings(redis_port, None), UNKNOWN),
        "another name": (settings(misnamed_port, ca), OTHER),
    }


@pytest.mark.parametrize("case", CASES)
def test_a_redis_that_proves_nothing_is_refused(refusals: dict[str, tuple[CommonSettings, str]], case: str) -> None:
    made, reason = refusals[case]
    with broker.client(made) as client, pytest.raises(RedisConnectionError, match=reason):
        client.ping()
    app = celery_app.build(QueueName.DECRYPT, made)
    with app.connection() as connection, pytest.raises(RedisConnectionError, match=reason):
        connection.connect()
    app.close()


@pytest.mark.parametrize("case", CASES)
def test_a_worker_says_why_it_does_not_connect(refusals: dict[str, tuple[CommonSettings, str]], tmp_path: Path, case: str) -> None:
    made, reason = refusals[case]
    env = environment(made, tmp_path)
    with worker(QueueName.DECRYPT, env, tmp_path) as log:
        line = eventually(lambda: next((x for x in log.read_text().splitlines() if reason in x), ""), what="a line", timeout=START_S)
    assert "Cannot connect to rediss://:**@127.0.0.1" in line
    assert "Traceback" not in log.read_text()


# PostgreSQL


def test_the_loader_and_the_migrations_go_over_tls(server: Server, ca: tls_fixture.Authority) -> None:
    database = postgres_fixture.new_database(server, migrated=False)
    with tls_fixture.front(server.port, ca.issue("IP:127.0.0.1"), postgres=True) as port:
        verified = f"127.0.0.1:{port}/{database.name}?sslmode=verify-full&sslrootcert={ca.certificate}"
        assert migrate.migrate(f"postgresql://hikyaku_migrator@{verified}")
        kept = Database(f"postgresql://hikyaku_loader@{verified}", 5, 5)
        connection = kept.connection()
        assert connection.pgconn.ssl_in_use
        assert connection.execute("SELECT count(*) FROM hikyaku.files").fetchone() == (0,)
        kept.close()


@pytest.fixture(params=["another CA", "no CA file", "another name"])
def refused_url(
    request: pytest.FixtureRequest, server: Server, ca: tls_fixture.Authority, other_ca: tls_fixture.Authority, tmp_path: Path
) -> Iterator[tuple[str, str]]:
    """A URL that must not work, and what is to be read of it."""
    name, trusted, reason = {
        "another CA": ("IP:127.0.0.1", other_ca.certificate, "certificate verify failed"),
        "no CA file": ("IP:127.0.0.1", tmp_path / "nowhere.pem", f'root certificate file "{tmp_path}/nowhere.pem" does not exist'),
        "another name": ("DNS:postgres.example", ca.certificate, 'does not match host name "127.0.0.1"'),
    }[request.param]
    with tls_fixture.front(server.port, ca.issue(name), postgres=True) as port:
        yield f"postgresql://postgres:s3cret@127.0.0.1:{port}/postgres?sslmode=verify-full&sslrootcert={trusted}", reason


def test_the_loader_refuses_a_postgresql_that_proves_nothing_and_says_why(refused_url: tuple[str, str]) -> None:
    url, reason = refused_url
    with capture_logs() as logs, pytest.raises(psycopg.OperationalError):
        Database(url, 5, 5).connection()
    [line] = logs
    assert (line["event"], line["log_level"]) == ("not_connected", "warning")
    assert reason in line["reason"]
    assert "\n" not in line["reason"]
    assert "s3cret" not in str(logs)


def test_the_migrations_end_with_a_sentence(refused_url: tuple[str, str]) -> None:
    url, reason = refused_url
    env = os.environ | {"HIKYAKU_DATABASE_URL": url}
    ended = subprocess.run([sys.executable, "-m", "loader.migrate"], env=env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("hikyaku: the migrations did not run: ")
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "s3cret" not in ended.stderr
