"""A local stack of its own (`hikyaku local up --dir …`), whose services reach their dependencies through the proxies."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import boto3
import psutil  # type: ignore[import-untyped]
import psycopg
from botocore.config import Config
from psycopg import sql
from psycopg.rows import tuple_row
from redis import Redis

from chaos.files import COLUMNS, DATASETS, MENDED, Mode
from hikyaku.endpoints import read_endpoints

SERVICES = ("poller", "decryptor", "loader")
SHORT_VISIBILITY_S, LONG_VISIBILITY_S = 10, 20
"""A long storm keeps a host's proportion: a dead worker's lease of its tasks and the sweep that ends it, at least 10 s each, take together
no longer than the visibility timeout."""
SETTINGS = {
    "HIKYAKU_BROKER_VISIBILITY_TIMEOUT": "10",
    "HIKYAKU_RECEIVE_WAIT": "1",
    "HIKYAKU_TASK_DEADLINE": "30",
    "HIKYAKU_TASK_TIME_LIMIT": "60",
    "HIKYAKU_DRAIN_TIMEOUT": "5",
    "HIKYAKU_LOCK_TIMEOUT": "4",
    "HIKYAKU_STATEMENT_TIMEOUT": "20",
    "HIKYAKU_S3_READ_TIMEOUT": "3",
    "HIKYAKU_S3_CONNECT_TIMEOUT": "2",
    "HIKYAKU_SPOOL_MAX_AGE": "60",
    "HIKYAKU_SPOOL_SWEEP_INTERVAL": "5",
    "HIKYAKU_LOG_FORMAT": "json",
}
"""Everything takes as long as it does on a host, only shorter."""
UP_TIMEOUT_S = 600
WAIT_S = 60.0
POLL_S = 0.1

T = TypeVar("T")


class GaveUpError(Exception):
    """Something did not come within its bound: the run itself is not in order."""


def eventually(look: Callable[[], T | None], what: str, timeout: float = WAIT_S) -> T:
    """What `look` finds, as soon as it is true.

    Raises:
        GaveUpError: it never was.
    """
    deadline = time.monotonic() + timeout
    while not (found := look()):
        if time.monotonic() > deadline:
            raise GaveUpError(f"{what}: not within {timeout:.0f} s")
        time.sleep(POLL_S)
    return found


class Stack:
    """One stack: its servers, its processes, and the way to look at both past the proxies.

    Args:
        folder: where it lives.
        visibility_s: SQS's visibility timeout.
    """

    def __init__(self, folder: Path, visibility_s: int) -> None:
        self.folder = folder
        self.visibility_s = visibility_s
        self.endpoints: dict[str, str] = {}

    # Coming and going

    def up(self) -> None:
        """Start it, with bounds on time that fit a run."""
        self._local("up")
        self.endpoints = read_endpoints(self.folder / "endpoints.env")
        self._prepare_datasets()

    def deployed(self) -> dict[str, str]:
        """What deploying the template gave."""
        told: dict[str, str] = json.loads((self.folder / "localstack" / "aws" / "stack.json").read_text(encoding="utf-8"))
        return told

    def down(self) -> None:
        """Stop it, and continue whatever was stopped."""
        for process in self.processes():
            signal_to([process.pid], signal.SIGCONT)
        self._local("down")

    def _local(self, verb: str) -> None:
        command = [sys.executable, "-m", "hikyaku", "local", verb, "--dir", str(self.folder)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HIKYAKU_") or name == "HIKYAKU_LOCAL_TOOLS"}
        settings = SETTINGS | {"HIKYAKU_VISIBILITY_TIMEOUT": str(self.visibility_s)}
        subprocess.run(command, check=True, timeout=UP_TIMEOUT_S, env=kept | settings)

    def _prepare_datasets(self) -> None:
        """Tables without keys for append, so that a second load would show."""
        wishes = {True: 'after_load = "tag"\n', False: ""}
        entries = [f'[datasets.{each.name}]\nmode = "{each.mode}"\n{wishes[each.tagged]}' for each in (*DATASETS, MENDED)]
        path = Path(self.endpoints["HIKYAKU_DATASETS"])
        path.write_text("\n".join([path.read_text(encoding="utf-8"), *entries]), encoding="utf-8")
        with self.database() as connection:
            for dataset in (*DATASETS, MENDED):
                key = ", PRIMARY KEY (id)" if dataset.mode is Mode.UPSERT else ""
                table = sql.Identifier("public", dataset.name)
                connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, sql.SQL(COLUMNS + key)))

    def ports(self) -> dict[str, int]:
        """Of the servers themselves."""
        ports: dict[str, int] = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))["ports"]
        return ports

    # Processes

    def processes(self) -> Iterable[psutil.Process]:
        """All that work in the stack's folder."""
        return [process for process in psutil.process_iter() if self.owns(process)]

    def owns(self, process: psutil.Process) -> bool:
        """Whether the process is one of the stack's: nobody else is ever signalled."""
        try:
            return self._works_here(process)
        except psutil.AccessDenied:
            # A service is confined: its folder is shown to root only. Others see who started it, which is the stack's supervisor.
            return self._is_of_ours(process)
        except (psutil.Error, OSError):
            return False

    def _is_of_ours(self, process: psutil.Process) -> bool:
        for parent in process.parents():
            with suppress(psutil.Error, OSError):
                if self._works_here(parent):
                    return True
        return False

    def _works_here(self, process: psutil.Process) -> bool:
        return Path(process.cwd()).is_relative_to(self.folder)

    def main(self, name: str) -> list[int]:
        """The main process of a program, none while it is away."""
        pid = read_endpoints(self.folder / "endpoints.env").get(f"HIKYAKU_PID_{name.upper()}")
        try:
            return [int(pid)] if pid and self.owns(psutil.Process(int(pid))) else []
        except psutil.Error:
            return []

    def children(self, name: str) -> list[int]:
        """Its children."""
        try:
            return [child.pid for pid in self.main(name) for child in psutil.Process(pid).children()]
        except psutil.Error:
            return []

    def worker(self, name: str) -> list[int]:
        """Both."""
        return [*self.main(name), *self.children(name)]

    # Servers, past the proxies

    def database(self, role: str = "hikyaku_owner") -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of one role, `postgres` for the superuser's."""
        url = (self.folder / "secrets" / "postgres" / f"{role}.url").read_text(encoding="utf-8").strip()
        # While a run has the cluster read-only, whoever ends that must be able to write.
        options = "-c default_transaction_read_only=off"
        return psycopg.connect(url, dbname="hikyaku", autocommit=True, connect_timeout=3, options=options, row_factory=tuple_row)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with self.database("postgres") as connection:
            return connection.execute(query.encode(), parameters or None).fetchall()

    def table(self, name: str) -> list[tuple[Any, ...]]:
        """All rows of a target table."""
        return self.rows(f'SELECT id, file, version, body FROM public."{name}"')

    def redis(self) -> "Redis":
        """An administrator's client."""
        return Redis.from_url(self.endpoints["HIKYAKU_REDIS_URL"], socket_timeout=5)

    def client(self, service: str) -> Any:
        """An AWS client. It never repeats a request by itself: a repeated PUT would be a version that nobody knows of."""
        return boto3.Session(
            aws_access_key_id=self.endpoints["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.endpoints["AWS_SECRET_ACCESS_KEY"],
            region_name=self.endpoints["AWS_REGION"],
        ).client(service, endpoint_url=self.endpoints["AWS_ENDPOINT_URL"], config=Config(retries={"total_max_attempts": 1}))  # type: ignore[call-overload]

    def dead_letters(self) -> list[dict[str, Any]]:
        """All messages of the dead-letter queue, which LocalStack shows without handing them out."""
        url = f"{self.endpoints['AWS_ENDPOINT_URL']}/_aws/sqs/messages?QueueUrl={self.endpoints['HIKYAKU_DLQ_URL']}"
        request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - loopback
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            found = json.load(answer)["ReceiveMessageResponse"]["ReceiveMessageResult"] or {}
        messages = found.get("Message", [])
        return messages if isinstance(messages, list) else [messages]

    def queued(self) -> int:
        """Messages of the ingest queue, those in flight too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
        answer = self.client("sqs").get_queue_attributes(QueueUrl=self.endpoints["HIKYAKU_QUEUE_URL"], AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def most_receives(self) -> int:
        """SQS's own limit for a message, as the template deployed it."""
        url = self.endpoints["HIKYAKU_QUEUE_URL"]
        answer = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
        return int(json.loads(answer["Attributes"]["RedrivePolicy"])["maxReceiveCount"])

    def receives(self) -> dict[str, int]:
        """How often SQS has handed out each message, by the poller's log."""
        counts: dict[str, int] = {}
        for path in (self.folder / "logs").glob("poller*.log*"):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if '"event": "received"' in line:
                    told = json.loads(line)
                    counts[told["message_id"]] = max(told["attempt"], counts.get(told["message_id"], 0))
        return counts

    def spooled(self) -> list[Path]:
        """What lies in the spool."""
        return list((self.folder / "spool").iterdir())


def signal_to(pids: Iterable[int], number: signal.Signals) -> int:
    """Signal processes; how many were still there."""
    reached = 0
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        reached += 1
    return reached
