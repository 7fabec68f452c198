"""Outages: each lasts until its context ends."""

import contextlib
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg import sql
from redis.exceptions import RedisError

from chaos import disk, second
from chaos.files import DATASETS
from chaos.nemesis import VICTIM_WITHIN_S, Nemesis, NoVictimError, Outage, World, backends, victims
from chaos.proxy import Fault
from chaos.stack import Stack, eventually, signal_to

REPEATED_EVENTS = 10
SPOOL_LEFT = 64
"""Bytes that a file of the full spool still takes."""
NAMES = {"postgres": "PostgreSQL", "redis": "Redis", "s3": "S3", "sqs": "SQS"}
PROXIED = {
    ("s3", Fault.ERROR): "S3 answers 503",
    ("s3", Fault.KMS_DISABLED): "KMS: key disabled",
    ("s3", Fault.KMS_THROTTLES): "KMS throttles S3",
    ("sqs", Fault.ERROR): "SQS throttles",
}
"""Where a proxy's name and its fault do not say it well."""


def _stopped(find: Callable[[Stack], list[int]], *, one: bool = False) -> Outage:
    @contextmanager
    def act(world: World, source: random.Random) -> Iterator[None]:
        pids = victims(world, find)
        pids = [source.choice(pids)] if one else pids
        signal_to(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_to(pids, signal.SIGCONT)

    return act


def _proxied(way: str, fault: Fault) -> Nemesis:
    @contextmanager
    def act(world: World, source: random.Random) -> Iterator[None]:
        world.proxies.begin(way, fault)
        try:
            yield
        finally:
            world.proxies.end(way)

    return Nemesis(_proxy_name(way, fault), act, alone=f"proxy {way}")


def _proxy_name(way: str, fault: Fault) -> str:
    return PROXIED.get((way, fault), f"{NAMES[way]} {fault}")


def _at_once(action: Callable[[World], object]) -> Outage:
    """Over as soon as it happened; what it destroyed stays destroyed."""

    @contextmanager
    def act(world: World, source: random.Random) -> Iterator[None]:
        action(world)
        yield

    return act


def _flush(world: World) -> None:
    def flushed() -> bool:
        with suppress(RedisError), world.stack.redis() as client:
            return bool(client.flushall())
        return False

    eventually(flushed, "Redis is there to be emptied", VICTIM_WITHIN_S)


def _restart_empty(world: World) -> None:
    (world.stack.folder / "redis" / "appendonly.aof").unlink(missing_ok=True)
    signal_to(victims(world, lambda stack: stack.main("redis")), signal.SIGKILL)


def _terminate(world: World) -> None:
    query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'hikyaku_loader'"
    with _patient(world.stack) as connection:
        connection.execute(query)


def _connect(stack: Stack, role: str) -> psycopg.Connection[tuple[object, ...]] | None:
    with suppress(psycopg.OperationalError):
        return stack.database(role)
    return None


def _patient(stack: Stack, role: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
    """A connection, as soon as PostgreSQL is there."""
    return eventually(lambda: _connect(stack, role), "PostgreSQL is there", VICTIM_WITHIN_S)


@contextmanager
def _locked(world: World, source: random.Random) -> Iterator[None]:
    table = sql.Identifier("public", source.choice(DATASETS).name)
    # Closed, not committed, at the end: PostgreSQL may have been killed meanwhile.
    with contextlib.closing(_patient(world.stack, "hikyaku_owner")) as connection:
        with suppress(psycopg.OperationalError):
            connection.execute("BEGIN")
            connection.execute("SET LOCAL lock_timeout = '3s'")
            connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(table))
        yield


@contextmanager
def _exhausted(world: World, source: random.Random) -> Iterator[None]:
    with ExitStack() as held:
        while (connection := _connect(world.stack, "hikyaku_owner")) is not None:
            held.callback(connection.close)
        with suppress(psycopg.OperationalError):
            _terminate(world)
        while (connection := _connect(world.stack, "hikyaku_owner")) is not None:
            held.callback(connection.close)
        yield


@contextmanager
def _read_only(world: World, source: random.Random) -> Iterator[None]:
    _set_cluster(world.stack, "ALTER SYSTEM SET default_transaction_read_only = on")
    try:
        yield
    finally:
        _set_cluster(world.stack, "ALTER SYSTEM RESET default_transaction_read_only")


def _set_cluster(stack: Stack, statement: str) -> None:
    def done() -> bool:
        with suppress(psycopg.Error), stack.database("postgres") as connection:
            connection.execute(statement.encode())
            connection.execute("SELECT pg_reload_conf()")
            return True
        return False

    eventually(done, statement, VICTIM_WITHIN_S)


@contextmanager
def _reordered(world: World, source: random.Random) -> Iterator[None]:
    world.sender.withhold()
    try:
        yield
    finally:
        world.sender.release()


@contextmanager
def _disk_full(world: World, source: random.Random) -> Iterator[None]:
    if not world.disk:
        raise NoVictimError
    with disk.full(world.stack):
        yield


@contextmanager
def _spool_full(world: World, source: random.Random) -> Iterator[None]:
    """No file of the decryptor's may grow any more: its writes fail as on a full tmpfs, and nobody else's do."""
    stack = world.stack
    _limit_file_size(victims(world, lambda stack: stack.worker("decryptor")), SPOOL_LEFT)
    try:
        yield
    finally:
        # The parent first: the children that it forks from now on are free, those of before are found.
        for find in (stack.main, stack.children):
            _limit_file_size(find("decryptor"), psutil.RLIM_INFINITY)


def _limit_file_size(pids: list[int], size: int) -> None:
    for pid in pids:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            _, most = process.rlimit(psutil.RLIMIT_FSIZE)
            process.rlimit(psutil.RLIMIT_FSIZE, (size, most))


OUTAGES = (
    Nemesis("poller stopped (SIGSTOP)", _stopped(lambda s: s.main("poller")), alone="poller"),
    Nemesis("decryptor stopped (SIGSTOP)", _stopped(lambda s: s.main("decryptor")), alone="decryptor"),
    Nemesis("loader stopped (SIGSTOP)", _stopped(lambda s: s.main("loader")), alone="loader"),
    Nemesis("decryptor's child stopped", _stopped(lambda s: s.children("decryptor"), one=True), alone="decryptor"),
    Nemesis("loader's child stopped", _stopped(lambda s: s.children("loader"), one=True), alone="loader"),
    Nemesis("Redis stopped (SIGSTOP)", _stopped(lambda s: s.main("redis")), alone="redis"),
    Nemesis("Redis emptied (FLUSHALL)", _at_once(_flush), alone="redis"),
    Nemesis("Redis restarted empty", _at_once(_restart_empty), alone="redis"),
    Nemesis("PostgreSQL ends sessions", _at_once(_terminate), alone="postgres"),
    Nemesis("PostgreSQL's backend stopped", _stopped(backends, one=True), alone="postgres"),
    Nemesis("target table locked", _locked, alone="lock"),
    Nemesis("PostgreSQL: no connection left", _exhausted, alone="postgres"),
    Nemesis("PostgreSQL: read-only", _read_only, alone="postgres"),
    Nemesis("PostgreSQL: disk full", _disk_full, alone="disk"),
    Nemesis(second.NAME, second.another_poller, alone="second poller"),
    *(_proxied("postgres", fault) for fault in (Fault.CUT, Fault.DELAY, Fault.RESET, Fault.SWALLOW)),
    *(_proxied("redis", fault) for fault in (Fault.CUT, Fault.DELAY, Fault.RESET, Fault.SWALLOW)),
    *(
        _proxied("s3", fault)
        for fault in (Fault.CUT, Fault.RESET, Fault.SWALLOW, Fault.ERROR, Fault.SLOW, Fault.KMS_DISABLED, Fault.KMS_THROTTLES)
    ),
    *(_proxied("sqs", fault) for fault in (Fault.CUT, Fault.DELAY, Fault.RESET, Fault.SWALLOW, Fault.ERROR)),
    Nemesis("spool full", _spool_full, alone="decryptor"),
    Nemesis("SQS repeats events", _at_once(lambda world: world.sender.repeat(REPEATED_EVENTS)), alone="events"),
    Nemesis("SQS reorders events", _reordered, alone="events"),
)
_AWAY = {Fault.CUT, Fault.RESET, Fault.SWALLOW, Fault.ERROR, Fault.KMS_DISABLED, Fault.KMS_THROTTLES}
_OTHERS_AWAY = {
    "decryptor stopped (SIGSTOP)",
    "loader stopped (SIGSTOP)",
    "Redis stopped (SIGSTOP)",
    "PostgreSQL: no connection left",
    "PostgreSQL: read-only",
    "PostgreSQL: disk full",
    "spool full",
}
AWAY = tuple(each for each in OUTAGES if each.name in _OTHERS_AWAY | {_proxy_name(way, fault) for way in NAMES for fault in _AWAY})
"""While it lasts no file goes through."""
