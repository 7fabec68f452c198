"""A host for the tests: a folder with what the project ships, and docker compose in it."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "hikyaku-000000000000-ap-northeast-1"
ENGINE = "no Docker engine answers: see DOCKER_HOST, or run tests/compose/run.sh as root on Debian, which starts one of its own"
VERSION = "test"
"""Tag of the images under test, so that none of the host's own is replaced."""
REPORT: list[str] = []
"""Figures for the end of the run."""


def run(
    *command: str, environment: Mapping[str, str] | None = None, folder: Path = ROOT, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it said; a failure shows it."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, **(environment or {})})
    if check and result.returncode:
        raise AssertionError(f"{' '.join(command)} exits with {result.returncode}:\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}")
    return result


def eventually(look: Callable[[], bool], what: str, timeout: float = 180) -> None:
    """Wait for a condition, and fail by name when it does not come."""
    deadline = time.monotonic() + timeout
    while not look():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.2)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Note how long something took."""
    started = time.monotonic()
    yield
    REPORT.append(f"{what}: {time.monotonic() - started:.1f} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def copy_project(folder: Path) -> None:
    """What a clone holds, as it is now."""
    for name in run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout.split("\0"):
        if name and (ROOT / name).exists():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)


class Host:
    """One copy of the project and its compose project, each with names and ports of its own."""

    def __init__(self, folder: Path, name: str, profile: str = "") -> None:
        self.folder = folder
        self.name = name
        self.profile = ("--profile", profile) if profile else ()
        self.secrets = folder / "secrets"
        self.flower_port, self.aws_port = free_port(), free_port()
        self.environment = {
            "COMPOSE_PROJECT_NAME": name,
            "HIKYAKU_VERSION": VERSION,
            "HIKYAKU_FLOWER_PORT": str(self.flower_port),
            "HIKYAKU_LOCALSTACK_PORT": str(self.aws_port),
        }
        copy_project(folder)

    def compose(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        command = ("docker", "compose", *self.profile, *arguments)
        return run(*command, folder=self.folder, environment={**self.environment, **environment}, check=check)

    def down(self) -> None:
        self.compose("--profile", "*", "down", "--volumes", "--timeout", "60", check=False)

    def python(self, service: str, code: str) -> subprocess.CompletedProcess[str]:
        """Run a piece of Python in a service's container, as the service itself would."""
        return self.compose("exec", "-T", service, "python", "-c", code, check=False)

    def container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).stdout.strip()

    def inspect(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run("docker", "inspect", self.container(service)).stdout)[0]
        return found

    def logs(self, service: str) -> list[str]:
        """What a service wrote: by the engine, since compose adds a terminal's codes."""
        told = run("docker", "logs", self.container(service))
        return (told.stdout + told.stderr).splitlines()

    def health(self, service: str) -> str:
        return str(self.inspect(service)["State"]["Health"]["Status"])

    def sql(self, query: str) -> str:
        """Rows, unaligned, as the superuser."""
        words = ("psql", "-U", "postgres", "-d", "hikyaku", "-v", "ON_ERROR_STOP=1", "-Atc", query)
        return self.compose("exec", "-T", "postgres", *words).stdout.strip()

    def table(self, name: str) -> None:
        self.sql(f"SET ROLE hikyaku_owner; CREATE TABLE public.{name} (id int PRIMARY KEY, word text)")

    def aws(self, role: str) -> dict[str, str]:
        """Settings of the SDK for one of the stack's users, from outside of the containers."""
        return {
            "AWS_SHARED_CREDENTIALS_FILE": str(self.secrets / role / "aws_credentials"),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.aws_port}",
            "AWS_REGION": "ap-northeast-1",
        }

    def recipient(self) -> str:
        (identity,) = (self.secrets / "decryptor" / "identities").glob("*.txt")
        return next(line.split()[-1] for line in identity.read_text(encoding="utf-8").splitlines() if "public key" in line)

    def send(self, dataset: str, name: str, csv: str) -> str:
        """Send a file by the sender's own command and return its key."""
        file = self.folder / f"{name}.csv"
        file.write_text(csv, encoding="utf-8")
        to = f"s3://{BUCKET}/incoming/{dataset}/"
        environment = self.aws("sender") | {"XDG_STATE_HOME": str(self.folder / "state")}
        run("hikyaku", "send", str(file), "--to", to, "-r", self.recipient(), environment=environment)
        return f"incoming/{dataset}/{name}.csv.gz.age"

    def fate(self, key: str) -> str:
        """Status and rows in the ledger, empty while there is none."""
        return self.sql(f"SELECT string_agg(status || ' ' || coalesce(rows_loaded::text, ''), ',') FROM hikyaku.files WHERE key = '{key}'")

    def arrives(self, key: str, rows: int) -> None:
        eventually(lambda: self.fate(key) == f"loaded {rows}", f"{key} is loaded once")

    @contextmanager
    def held(self, table: str) -> Iterator[None]:
        """Lock a table, so that its file stays half-way through the line."""
        lock = f"BEGIN; LOCK TABLE public.{table}; SELECT pg_sleep(600)"
        words = ("docker", "compose", *self.profile, "exec", "-T", "postgres", "psql", "-U", "postgres", "-d", "hikyaku", "-c", lock)
        holder = subprocess.Popen(
            words, cwd=self.folder, env={**os.environ, **self.environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        granted = f"SELECT count(*) FROM pg_locks WHERE relation = 'public.{table}'::regclass AND granted AND mode = 'AccessExclusiveLock'"
        try:
            eventually(lambda: self.sql(granted) == "1", f"{table} is locked")
            yield
        finally:
            self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()")
            holder.wait(60)

    def is_half_way(self) -> bool:
        """Whether the loader waits for a lock."""
        return self.sql("SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'hikyaku_loader' AND wait_event_type = 'Lock'") == "t"
