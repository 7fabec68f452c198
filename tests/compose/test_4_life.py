"""Kills, stops, changes and hangs, with work in flight: every file is loaded once."""

import os

import boto3
import pytest
from host import ROOT, Host, eventually, run, timed

WORKERS = ("poller", "decryptor", "loader")


SOONER = {
    "poller": {"HIKYAKU_VISIBILITY_TIMEOUT": 30, "HIKYAKU_RECEIVE_WAIT": 5, "HIKYAKU_BROKER_VISIBILITY_TIMEOUT": 20},
    "decryptor": {"HIKYAKU_BROKER_VISIBILITY_TIMEOUT": 20},
    "loader": {"HIKYAKU_BROKER_VISIBILITY_TIMEOUT": 20},
}
"""With the defaults, the same takes up to 120 s for a message and 60 s for a task."""


@pytest.fixture(scope="module", autouse=True)
def sooner(laptop: Host) -> None:
    """Shorter timeouts, by the services' own settings files."""
    for service, settings in SOONER.items():
        path = laptop.secrets / service / "settings.env"
        path.write_text(
            path.read_text(encoding="utf-8") + "".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8"
        )
    laptop.compose("restart", *SOONER)


def main_process(laptop: Host, service: str) -> str:
    """On the host: the child of the container's init."""
    init = str(laptop.inspect(service)["State"]["Pid"])
    return run("ps", "-o", "pid=", "--ppid", init).stdout.split()[0]


@pytest.mark.parametrize("service", WORKERS)
def test_a_service_killed_with_a_file_half_way_comes_back_and_loads_it_once(laptop: Host, service: str) -> None:
    table = f"killed_{service}"
    laptop.table(table)
    before = laptop.inspect(service)["RestartCount"]
    with laptop.held(table):
        key = laptop.send(table, "file", "id,word\n1,a\n2,b\n")
        eventually(laptop.is_half_way, "the file is half-way")
        # By its process: `docker compose kill` counts as stopped by hand, and nothing restarts then.
        run("kill", "-KILL", main_process(laptop, service))
        eventually(lambda: laptop.inspect(service)["RestartCount"] == before + 1, f"{service} restarts")
    with timed(f"kill of the {service}, from the lock's release to loaded"):
        laptop.arrives(key, 2)
    assert laptop.sql(f"SELECT count(*) FROM public.{table}") == "2"


def test_a_stop_hands_back_in_time_and_a_start_finishes(laptop: Host) -> None:
    laptop.table("through_a_stop")
    with laptop.held("through_a_stop"):
        key = laptop.send("through_a_stop", "file", "id,word\n1,a\n")
        eventually(laptop.is_half_way, "the file is half-way")
        with timed("`docker compose stop` with a file half-way"):
            laptop.compose("stop", *WORKERS)
        # 137 would be a SIGKILL: the stop took longer than its grace period.
        assert all(laptop.inspect(service)["State"]["ExitCode"] != 137 for service in WORKERS)
    laptop.compose("start", *WORKERS)
    laptop.arrives(key, 1)
    assert laptop.sql("SELECT count(*) FROM public.through_a_stop") == "1"


def test_a_change_rolls_through(laptop: Host) -> None:
    laptop.table("through_a_change")
    names = [f"file{n}" for n in range(12)]
    keys = [laptop.send("through_a_change", name, f"id,word\n{n},a\n") for n, name in enumerate(names[:6])]
    before = {service: laptop.container(service) for service in ("loader", "decryptor")}
    laptop.environment |= {"HIKYAKU_LOADER_CONCURRENCY": "1", "HIKYAKU_DECRYPTOR_CONCURRENCY": "1"}
    laptop.compose("up", "-d", "--wait")
    keys += [laptop.send("through_a_change", name, f"id,word\n{n},a\n") for n, name in enumerate(names[6:], 6)]
    assert all(laptop.container(service) != before[service] for service in before)
    for key in keys:
        laptop.arrives(key, 1)
    assert laptop.sql("SELECT count(*) FROM public.through_a_change") == "12"


def test_what_hangs_turns_unhealthy_and_recovers(laptop: Host) -> None:
    pids = [main_process(laptop, service) for service in WORKERS]
    run("kill", "-STOP", *pids)
    try:
        with timed("SIGSTOP of all three, to unhealthy"):
            for service in WORKERS:
                eventually(lambda name=service: laptop.health(name) == "unhealthy", f"{service} is unhealthy")
    finally:
        run("kill", "-CONT", *pids)
    for service in WORKERS:
        eventually(lambda name=service: laptop.health(name) == "healthy", f"{service} is healthy")
    laptop.table("after_a_hang")
    laptop.arrives(laptop.send("after_a_hang", "file", "id,word\n1,a\n"), 1)


def test_nothing_is_left_in_the_queue(laptop: Host) -> None:
    endpoint = laptop.aws("operator")["AWS_ENDPOINT_URL"]
    sqs = boto3.Session(**read_keys(laptop), region_name="ap-northeast-1").client("sqs", endpoint_url=endpoint)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def waiting(queue: str) -> int:
        found = sqs.get_queue_attributes(QueueUrl=f"{endpoint}/000000000000/{queue}", AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)

    eventually(lambda: waiting("hikyaku-ingest") == 0, "the queue is empty")
    # The demo's tampered file.
    assert waiting("hikyaku-ingest-dlq") == 1
    assert laptop.sql("SELECT count(*) FROM hikyaku.files WHERE status NOT IN ('loaded', 'duplicate', 'rejected')") == "0"
    assert laptop.compose("exec", "-T", "loader", "ls", "/spool").stdout == ""


def read_keys(laptop: Host) -> dict[str, str]:
    lines = (laptop.secrets / "operator" / "aws_credentials").read_text(encoding="utf-8").splitlines()
    found = dict(line.replace(" ", "").split("=", 1) for line in lines if "=" in line)
    return {name: found[name] for name in ("aws_access_key_id", "aws_secret_access_key")}


def all_healthy(laptop: Host) -> bool:
    return all(laptop.health(service) == "healthy" for service in (*WORKERS, "flower", "redis", "postgres", "localstack"))


def test_a_power_cut(laptop: Host) -> None:
    """Every process of every container ends at once."""
    ids = laptop.compose("ps", "--quiet").stdout.split()
    run("kill", "-KILL", *run("docker", "inspect", "--format", "{{.State.Pid}}", *ids).stdout.split())
    comes_back(laptop, "after_a_power_cut")


def test_the_host_reboots(laptop: Host) -> None:
    """The engine stops and starts: containers come back by their restart policy, in no order."""
    engine = os.environ.get("HIKYAKU_TEST_ENGINE")
    assert engine, "HIKYAKU_TEST_ENGINE names no engine of the test's own: tests/compose/run.sh starts one"
    run(str(ROOT / "tests" / "compose" / "standin" / "engine.sh"), "restart", engine)
    comes_back(laptop, "after_a_reboot")


def comes_back(laptop: Host, table: str) -> None:
    with timed(f"all healthy {table.replace('_', ' ')}"):
        eventually(lambda: all_healthy(laptop), f"all healthy {table}", 300)
    laptop.table(table)
    laptop.arrives(laptop.send(table, "file", "id,word\n1,a\n"), 1)
