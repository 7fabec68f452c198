"""Looks for what must be nowhere: in files that services wrote, in Redis, on Flower's pages, in logs, queues and environments."""

import base64
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from line import Line, eventually
from redis import Redis
from test_kills import children

SOURCE = Path(__file__).with_name("witness.c")
COMPILER = "cc"
SERVICES = ("poller", "decryptor", "loader", "flower")
FIT_TO_COMPARE = 12
"""Bytes below which something else could look the same."""


@dataclass(frozen=True, slots=True)
class Needle:
    """Something that must not be found, in every form in which it might pass."""

    name: str
    forms: tuple[bytes, ...]

    @classmethod
    def of(cls, name: str, secret: bytes) -> "Needle":
        """As it is, in hex of both kinds, and in base64 at every offset: Celery packs a message's body so."""
        assert len(secret) >= FIT_TO_COMPARE
        in_base64 = [base64.b64encode(bytes(shift) + secret)[4:-4] for shift in range(3)]
        return cls(name, (secret, secret.hex().encode(), secret.hex().upper().encode(), *in_base64))

    def is_in(self, hay: bytes) -> bool:
        return any(form in hay for form in self.forms)


Places = Iterable[tuple[str, bytes]]
"""Names of places, and all that is there."""


def findings(places: Places, needles: Iterable[Needle]) -> set[tuple[str, str]]:
    """Where something was found: the place and the needle's name."""
    return {(place, needle.name) for place, hay in places for needle in needles if needle.is_in(hay)}


# Places


def files(folder: Path, besides: Iterable[Path] = ()) -> Iterator[tuple[str, bytes]]:
    """Everything in a folder, what is below `besides` left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(other) for other in besides):
            # One may be gone by now, as a temporary file that became another by a rename.
            with suppress(FileNotFoundError):
                yield str(path.relative_to(folder)), path.read_bytes()


def processes(line: Line) -> Iterator[tuple[str, bytes]]:
    """Environments and command lines of the services. Only root may read them, which is another test's matter."""
    for service in SERVICES:
        parent = line.pid(service)
        for pid in [parent, *children(parent)]:
            for name in ("environ", "cmdline"):
                with suppress(FileNotFoundError, PermissionError):
                    yield f"{service} {name}", Path(f"/proc/{pid}/{name}").read_bytes()


def redis(line: Line) -> Iterator[tuple[str, bytes]]:
    """Every key that Redis holds now."""
    with Redis.from_url(line.endpoints["HIKYAKU_REDIS_URL"]) as broker:
        read: dict[bytes, Callable[[bytes], object]] = {
            b"string": broker.get,
            b"list": lambda key: broker.lrange(key, 0, -1),
            b"hash": broker.hgetall,
            b"set": broker.smembers,
            b"zset": lambda key: broker.zrange(key, 0, -1),
        }
        for key in broker.scan_iter():
            kind = broker.type(key)
            if kind in read:
                yield f"Redis {key.decode()}", repr(read[kind](key)).encode()


def flower(line: Line) -> Iterator[tuple[str, bytes]]:
    """Flower's pages, and one for each task that it knows."""
    tasks = json.loads(page(line, "/api/tasks?limit=1000"))
    yield "Flower /api/tasks", json.dumps(tasks, ensure_ascii=False).encode()
    for path in ("/tasks", "/workers", "/broker", "/metrics", "/api/workers", *(f"/task/{task}" for task in tasks)):
        yield f"Flower {path}", page(line, path)


def page(line: Line, path: str) -> bytes:
    url = urlsplit(line.endpoints["HIKYAKU_FLOWER_URL"])
    request = urllib.request.Request(f"http://{url.hostname}:{url.port}{path}")
    request.add_header("Authorization", "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode())
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - an address of our own
        found: bytes = answer.read()
        return found


def dead_letters(line: Line) -> Iterator[tuple[str, bytes]]:
    """What the dead-letter queue holds, attributes included; it stays there."""
    for _ in range(3):
        answer = line.sqs.receive_message(
            QueueUrl=line.dlq_url, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"], AttributeNames=["All"]
        )
        yield "dead-letter queue", json.dumps(answer.get("Messages", []), ensure_ascii=False, default=str).encode()


def ledger(line: Line) -> Iterator[tuple[str, bytes]]:
    """The ledger's rows."""
    yield "ledger", json.dumps(line.sql("SELECT * FROM hikyaku.files"), ensure_ascii=False, default=str).encode()


# Watching


@contextmanager
def monitored(line: Line) -> Iterator[list[bytes]]:
    """All that is said to Redis meanwhile."""
    heard: list[bytes] = []
    over = "over-" + line.folder.name
    with Redis.from_url(line.endpoints["HIKYAKU_REDIS_URL"]) as client, client.monitor() as monitor:

        def listen() -> None:
            for command in monitor.listen():
                heard.append(str(command["command"]).encode())
                if over in command["command"]:
                    return

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield heard
        finally:
            client.echo(over)
            listener.join(30)
            assert not listener.is_alive()


def can_watch() -> bool:
    """Whether this machine has what it takes: a C compiler."""
    return shutil.which(COMPILER) is not None


class Witness:
    """What the services of a stack open for writing. Each is started anew, with the library that notes it.

    Args:
        line: the stack, at rest.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._folder = line.folder / "witness"
        self._folder.mkdir()
        self._library = self._folder / "witness.so"
        command = [COMPILER, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(self._library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, timeout=60)

    def watch(self, *services: str, argv: tuple[str, ...] = (), environment: Mapping[str, str] | None = None) -> None:
        """Start services anew, with the library; perhaps as another program, with more in its environment."""
        before = {service: self._line.pid(service) for service in services}
        for service in services:
            record = self._line.folder / "run" / f"{service}.json"
            told = json.loads(record.read_text(encoding="utf-8"))
            told["env"] |= {"LD_PRELOAD": str(self._library), "WITNESS_LOG": str(self._log(service)), **(environment or {})}
            told["argv"] = [told["argv"][0], *argv] if argv else told["argv"]
            record.write_text(json.dumps(told), encoding="utf-8")
            os.kill(before[service], signal.SIGTERM)
        for service in services:
            eventually(lambda name=service: self._pid(name) not in {None, before[name]}, what=f"{service} was started anew")
            started = time.time()
            eventually(lambda name=service, since=started: self._is_at_work(name, since), what=f"{service} works")

    def follow(self, program: str) -> str:
        """A PATH on which that program is one that takes the library along: gpg gets nothing of a service's environment."""
        folder = self._folder / "bin"
        folder.mkdir(exist_ok=True)
        script = folder / program
        preload = f"LD_PRELOAD={self._library} WITNESS_LOG={self._log(program)}"
        script.write_text(f'#!/bin/sh\n{preload} exec {shutil.which(program)} "$@"\n')
        script.chmod(0o700)
        return f"{folder}:{os.environ['PATH']}"

    def _pid(self, service: str) -> int | None:
        """None while it is away."""
        with suppress(KeyError):
            return self._line.pid(service)
        return None

    def _is_at_work(self, service: str, since: float) -> bool:
        if service == "flower":
            with suppress(OSError):
                return bool(page(self._line, "/workers"))
            return False
        health = self._line.folder / "run" / f"{service}.health"
        return health.exists() and health.stat().st_mtime > since

    def opened(self, service: str) -> set[str]:
        """Paths that it opened for writing so far."""
        log = self._log(service)
        return {entry.split(" ", 1)[1] for entry in log.read_text(encoding="utf-8").splitlines()} if log.exists() else set()

    def _log(self, service: str) -> Path:
        return self._folder / f"{service}.log"
