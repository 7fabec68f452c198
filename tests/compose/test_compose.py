"""docker-compose.yml on a real engine: a file arrives, and each service is as confined as the docs say."""

import base64
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from host import Host, run

WORKERS = ("poller", "decryptor", "loader")
CONFINED = (*WORKERS, "flower", "redis", "postgres")
ABSENT = {"poller": ["psycopg", "pyrage"], "decryptor": ["psycopg"], "loader": ["boto3", "pyrage"], "flower": ["boto3", "psycopg"]}


def eventually(look: Callable[[], bool], what: str, timeout: float = 180) -> None:
    deadline = time.monotonic() + timeout
    while not look():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.2)


def prepare(host: Host, table: str) -> None:
    host.sql(f"SET ROLE hikyaku_owner; CREATE TABLE public.{table} (id int PRIMARY KEY, word text)")


def arrives(host: Host, key: str, rows: int) -> None:
    eventually(lambda: host.fate(key) == f"loaded {rows}", f"{key} is loaded once")


def flower(host: Host, login: str | None) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{host.flower_port}/workers")
    if login is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - likewise
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_file_is_loaded(host: Host) -> None:
    prepare(host, "arrivals")
    arrives(host, host.send("arrivals", "first", "id,word\n1,a\n2,b\n"), 2)
    assert host.sql("SELECT * FROM public.arrivals ORDER BY id") == "1|a\n2|b"


@pytest.mark.parametrize("service", CONFINED)
def test_a_process_has_no_rights(host: Host, service: str) -> None:
    status = host.compose("exec", "-T", service, "cat", "/proc/1/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Uid"].split()[0] != "0"


@pytest.mark.parametrize("service", CONFINED)
def test_the_root_filesystem_is_read_only(host: Host, service: str) -> None:
    assert "Read-only" in host.compose("exec", "-T", service, "touch", "/etc/x", check=False).stderr


@pytest.mark.parametrize("service", CONFINED)
def test_no_other_user_reads_a_secret(host: Host, service: str) -> None:
    mine, others = ("exec", "-T", service), ("exec", "-T", "--user", "12345", service)
    command = ("sh", "-c", "cat /run/secrets/*")
    assert host.compose(*mine, *command, check=False).returncode == 0
    refused = host.compose(*others, *command, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")


@pytest.mark.parametrize(("service", "reached"), [("poller", False), ("decryptor", False), ("flower", False), ("loader", True)])
def test_who_reaches_postgresql(host: Host, service: str, reached: bool) -> None:
    assert connects(host, service, "postgres", "database", 5432) is reached


@pytest.mark.parametrize(("service", "reached"), [("poller", True), ("decryptor", True), ("flower", False), ("loader", False)])
def test_who_reaches_aws(host: Host, service: str, reached: bool) -> None:
    assert connects(host, service, "localstack", "egress", 4566) is reached


def connects(host: Host, service: str, target: str, network: str, port: int) -> bool:
    """By address: a name that does not resolve would prove less."""
    template = f'{{{{(index .NetworkSettings.Networks "hikyaku-test_{network}").IPAddress}}}}'
    address = run("docker", "inspect", "--format", template, host.container(target)).stdout.strip()
    assert address
    return host.python(service, f"import socket; socket.create_connection(({address!r}, {port}), 3)").returncode == 0


@pytest.mark.parametrize("service", ABSENT)
def test_an_image_holds_no_library_of_another_service(host: Host, service: str) -> None:
    code = f"import importlib.util as u; print([m for m in {ABSENT[service]!r} if u.find_spec(m)])"
    assert host.python(service, code).stdout.strip() == "[]"


@pytest.mark.parametrize("service", ["poller", "decryptor", "loader", "flower", "migrate"])
def test_without_settings_all_of_them_are_named(host: Host, service: str) -> None:
    module = {"flower": "shared.flower", "migrate": "loader.migrate"}.get(service, service)
    result = run("docker", "run", "--rm", "--network", "none", f"hikyaku-{service}:0.1.0", "python", "-m", module, check=False)
    assert result.returncode == 2
    assert "HIKYAKU_DATABASE_URL: is not set" in result.stderr or "HIKYAKU_REDIS_URL: is not set" in result.stderr


def test_the_spool_is_memory(host: Host) -> None:
    mounts = host.compose("exec", "-T", "decryptor", "cat", "/proc/mounts").stdout
    (spool,) = [line.split() for line in mounts.splitlines() if " /spool " in line]
    assert spool[2] == "tmpfs"
    assert {"noexec", "nosuid", "nodev", "mode=700"} <= set(spool[3].split(","))


def test_flower_wants_its_login(host: Host) -> None:
    assert flower(host, None) == 401
    assert flower(host, "operator:wrong") == 401
    assert flower(host, (host.secrets / "flower_auth").read_text(encoding="utf-8")) == 200


def test_ports_are_open_on_loopback_only(host: Host) -> None:
    ids = host.compose("ps", "--quiet").stdout.split()
    template = "{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{.HostPort}}\n{{end}}{{end}}"
    published = {line for line in run("docker", "inspect", "--format", template, *ids).stdout.splitlines() if line.strip()}
    assert published == {f"127.0.0.1 {host.flower_port}", f"127.0.0.1 {host.aws_port}"}


@pytest.mark.parametrize("service", WORKERS)
def test_a_killed_service_comes_back_and_loads(host: Host, service: str) -> None:
    prepare(host, f"after_{service}")
    before = host.sql("SELECT count(*) FROM hikyaku.files")
    # By its process: `docker compose kill` counts as stopped by hand, and nothing restarts then.
    pid = run("docker", "inspect", "--format", "{{.State.Pid}}", host.container(service)).stdout.strip()
    run("kill", "-KILL", pid)
    key = host.send(f"after_{service}", "file", "id,word\n1,a\n")
    arrives(host, key, 1)
    assert int(host.sql("SELECT count(*) FROM hikyaku.files")) == int(before) + 1
    assert run("docker", "inspect", "--format", "{{.RestartCount}}", host.container(service)).stdout.strip() == "1"


def test_a_stop_and_start_neither_loses_nor_doubles(host: Host) -> None:
    prepare(host, "through_a_stop")
    keys = [host.send("through_a_stop", f"file{n}", f"id,word\n{n},a\n") for n in range(3)]
    host.compose("stop", *WORKERS)
    host.compose("start", *WORKERS)
    for key in keys:
        arrives(host, key, 1)
    assert host.sql("SELECT count(*) FROM public.through_a_stop") == "3"
