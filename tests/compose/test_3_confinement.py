"""Each service is as confined as docs/hardening.md says, tried from inside its container."""

import base64
import urllib.error
import urllib.request

import pytest
from host import VERSION, Host, run

WORKERS = ("poller", "decryptor", "loader")
CONFINED = (*WORKERS, "flower", "redis", "postgres")
ABSENT = {"poller": ["psycopg", "pyrage"], "decryptor": ["psycopg"], "loader": ["boto3"], "flower": ["boto3", "psycopg"]}


@pytest.mark.parametrize("service", CONFINED)
def test_a_process_has_no_rights(laptop: Host, service: str) -> None:
    status = laptop.compose("exec", "-T", service, "cat", "/proc/1/status", "/proc/1/limits").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Uid"].split()[0] != "0"
    core = next(line for line in status.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


@pytest.mark.parametrize("service", CONFINED)
def test_the_root_filesystem_is_read_only(laptop: Host, service: str) -> None:
    assert "Read-only" in laptop.compose("exec", "-T", service, "touch", "/etc/x", check=False).stderr


@pytest.mark.parametrize("service", CONFINED)
def test_no_other_user_reads_a_secret(laptop: Host, service: str) -> None:
    mine, others = ("exec", "-T", service), ("exec", "-T", "--user", "12345", service)
    command = ("sh", "-c", "find /run/secrets -type f -exec cat {} +")
    assert laptop.compose(*mine, *command).stdout
    refused = laptop.compose(*others, *command, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")


@pytest.mark.parametrize("service", CONFINED)
def test_a_service_sees_its_own_secrets_only_and_cannot_change_them(laptop: Host, service: str) -> None:
    names = set(laptop.compose("exec", "-T", service, "ls", "/run/secrets").stdout.split())
    assert names == {path.name for path in (laptop.secrets / service).iterdir()}
    assert "Read-only" in laptop.compose("exec", "-T", service, "touch", "/run/secrets/x", check=False).stderr


@pytest.mark.parametrize("service", CONFINED)
def test_memory_and_processes_are_bounded(laptop: Host, service: str) -> None:
    limits = laptop.inspect(service)["HostConfig"]
    assert 0 < limits["Memory"] == limits["MemorySwap"]
    assert 0 < limits["PidsLimit"] <= 256


@pytest.mark.parametrize("service", CONFINED)
def test_no_secret_is_in_the_environment(laptop: Host, service: str) -> None:
    shown = laptop.inspect(service)
    text = "\n".join([*shown["Config"]["Env"], *(shown["Config"]["Cmd"] or []), *(shown["Config"]["Entrypoint"] or [])])
    values = {
        word
        for path in laptop.secrets.rglob("*")
        if path.is_file() and path.suffix not in {".env", ".json"} and path.name != "aws_config"
        for word in path.read_text(encoding="utf-8").replace("=", " ").replace(":", " ").replace("@", " ").split()
        if len(word) >= 32
    }
    assert len(values) > 10
    assert not [value for value in values if value in text]


@pytest.mark.parametrize(("service", "reached"), [("poller", False), ("decryptor", False), ("flower", False), ("loader", True)])
def test_who_reaches_postgresql(laptop: Host, service: str, reached: bool) -> None:
    assert connects(laptop, service, "postgres", "database", 5432) is reached


@pytest.mark.parametrize(("service", "reached"), [("poller", True), ("decryptor", True), ("flower", False), ("loader", False)])
def test_who_reaches_aws(laptop: Host, service: str, reached: bool) -> None:
    assert connects(laptop, service, "localstack", "egress", 4566) is reached


def connects(laptop: Host, service: str, target: str, network: str, port: int) -> bool:
    """By address: a name that does not resolve would prove less."""
    address = laptop.inspect(target)["NetworkSettings"]["Networks"][f"{laptop.name}_{network}"]["IPAddress"]
    assert address
    return laptop.python(service, f"import socket; socket.create_connection(({address!r}, {port}), 3)").returncode == 0


@pytest.mark.parametrize("service", ABSENT)
def test_an_image_holds_no_library_of_another_service(laptop: Host, service: str) -> None:
    code = f"import importlib.util as u; print([m for m in {ABSENT[service]!r} if u.find_spec(m)])"
    assert laptop.python(service, code).stdout.strip() == "[]"


@pytest.mark.parametrize("service", ["poller", "decryptor", "loader", "flower", "migrate"])
def test_without_settings_all_of_them_are_named(laptop: Host, service: str) -> None:
    module = {"flower": "shared.flower", "migrate": "loader.migrate"}.get(service, service)
    result = run("docker", "run", "--rm", "--network", "none", f"hikyaku-{service}:{VERSION}", "python", "-m", module, check=False)
    assert result.returncode == 2
    assert "HIKYAKU_DATABASE_URL: is not set" in result.stderr or "HIKYAKU_REDIS_URL: is not set" in result.stderr


@pytest.mark.parametrize("service", ["decryptor", "loader"])
def test_the_spool_is_memory(laptop: Host, service: str) -> None:
    mounts = laptop.compose("exec", "-T", service, "cat", "/proc/mounts").stdout
    (spool,) = [line.split() for line in mounts.splitlines() if " /spool " in line]
    assert spool[2] == "tmpfs"
    assert {"noexec", "nosuid", "nodev", "mode=700"} <= set(spool[3].split(","))


def test_a_full_spool_does_not_end_the_decryptor(laptop: Host) -> None:
    """What lies in a tmpfs counts as memory of the container that wrote it: the limit must leave room for a full spool."""
    size = laptop.python("decryptor", "import os; s = os.statvfs('/spool'); print(s.f_blocks * s.f_frsize)").stdout
    assert laptop.inspect("decryptor")["HostConfig"]["Memory"] - int(size) >= 512 * 2**20


def test_flower_wants_its_login(laptop: Host) -> None:
    assert flower(laptop, None) == 401
    assert flower(laptop, "operator:wrong") == 401
    assert flower(laptop, (laptop.secrets / "flower" / "login").read_text(encoding="utf-8").strip()) == 200


def flower(laptop: Host, login: str | None) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{laptop.flower_port}/workers")
    if login is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - an address of our own
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def test_flower_cannot_write_to_a_queue(laptop: Host) -> None:
    code = (
        "import pathlib, redis; r = redis.Redis.from_url(pathlib.Path('/run/secrets/redis_url').read_text().strip())\n"
        "for queue in ('decrypt', 'load', 'settle.poller'):\n"
        "    try: r.lpush(queue, 'x')\n"
        "    except redis.exceptions.NoPermissionError: print('refused')"
    )
    assert laptop.python("flower", code).stdout.split() == ["refused"] * 3
