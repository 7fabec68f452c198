"""When is a program of the stack ready? A condition and a bound for each."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psycopg
from redis import Redis
from redis.exceptions import RedisError

from hikyaku import waiting
from hikyaku.errors import UserError
from hikyaku.local import aws, postgres, redis_server
from hikyaku.local.layout import Layout
from hikyaku.local.program import health_file
from hikyaku.local.state import State
from hikyaku.local.supervise import Info, Supervisor
from shared import health

TIMEOUT_S = {"postgres": 60, "redis": 30, "localstack": 120, "poller": 60, "decryptor": 60, "loader": 60, "flower": 60}
CALL_TIMEOUT_S = 5
WRONG_SETTINGS = 2
"""Exit status of a service that does not like its settings."""
GIVE_UP_AFTER = 3
"""Processes of one program, seen while waiting for it, after which waiting longer is no use."""


def wait(layout: Layout, state: State, supervisor: Supervisor, name: str) -> Info:
    """Wait until a program serves.

    Returns:
        What supervisor says of it then.

    Raises:
        UserError: it does not within its bound, or keeps ending.
    """
    log = layout.log(name)
    error = UserError(f"{name} is not ready after {TIMEOUT_S[name]} s.", hint=last_line(log), log=log)
    pids: set[int] = set()

    def probe() -> Info | None:
        info = supervisor.processes()[name]
        _give_up_in_vain(info, pids, log)
        return info if info.runs and _serves(layout, state, info) else None

    return waiting.until(probe, TIMEOUT_S[name], error)


def _give_up_in_vain(info: Info, pids: set[int], log: Path) -> None:
    """Wait no longer for a program that ends again and again, or that refuses its settings."""
    refuses = not info.runs and info.exit_status == WRONG_SETTINGS
    pids.update({info.pid} - {0})
    if refuses or len(pids) >= GIVE_UP_AFTER:
        code = WRONG_SETTINGS if refuses else 1
        raise UserError(f"{info.name} ends as soon as it starts.", hint=last_line(log), log=log, exit_code=code)


def last_line(log: Path, most: int = 500) -> str:
    """The end of a log, to show with an error."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1][:most] if lines else ""


def serves(layout: Layout, state: State, info: Info) -> bool:
    """Whether the program does its work at this moment."""
    return info.runs and _serves(layout, state, info)


def _serves(layout: Layout, state: State, info: Info) -> bool:
    checks: dict[str, Callable[[], bool]] = {
        "postgres": lambda: _postgres(layout, state.ports["postgres"]),
        "redis": lambda: _redis(layout, state.ports["redis"]),
        "localstack": lambda: _localstack(layout, state.ports["localstack"], info),
        "flower": lambda: answers(f"http://127.0.0.1:{state.ports['flower']}/healthcheck"),
    }
    return checks.get(info.name, lambda: _touched(layout, info))()


def _postgres(layout: Layout, port: int) -> bool:
    try:
        url = postgres.url_of(layout, postgres.SUPERUSER, port)
        psycopg.connect(url, connect_timeout=CALL_TIMEOUT_S).close()
    except psycopg.OperationalError:
        return False
    return True


def _redis(layout: Layout, port: int) -> bool:
    url = redis_server.url(redis_server.ADMIN, redis_server.password(layout, redis_server.ADMIN), port)
    try:
        with Redis.from_url(url, socket_timeout=CALL_TIMEOUT_S) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _localstack(layout: Layout, port: int, info: Info) -> bool:
    return aws.is_deployed(layout, info.started) and answers(f"{aws.endpoint(port)}/_localstack/health")


def answers(url: str) -> bool:
    """Whether an HTTP server on loopback answers this with 200."""
    # Without the environment's proxies: none leads to this machine's loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=CALL_TIMEOUT_S) as response:
            return bool(response.status == 200)  # noqa: PLR2004 - HTTP's OK
    except (urllib.error.URLError, OSError):
        return False


def _touched(layout: Layout, info: Info) -> bool:
    """A service touches its health file every few seconds while it works; a touch before its start was its predecessor's."""
    try:
        touched = health_file(layout, info.name).stat().st_mtime
    except FileNotFoundError:
        return False
    return touched >= max(info.started, time.time() - health.DEFAULT_MAX_AGE)
