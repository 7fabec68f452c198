"""An on-prem host for the test: its secrets as docs/deployment.md describes them, its .env, and docker compose on them."""

import hashlib
import json
import os
import re
import secrets
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pyrage

ROOT = Path(__file__).resolve().parents[2]
SERVICES_UID = 10001
IMAGES_UID = 999
"""Of redis and of postgres, each in its own image."""
SENDS_AS = "sender"
BUCKET = "hikyaku-000000000000-ap-northeast-1"
QUEUES = "http://localstack:4566/000000000000"
ENGINE = "no Docker engine answers: see DOCKER_HOST, or run tests/compose/run.sh as root on Debian, which starts one of its own"


def run(*command: str, environment: dict[str, str] | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it said; a failure shows it."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | (environment or {}))
    if check and result.returncode:
        raise AssertionError(f"{' '.join(command)} exits with {result.returncode}:\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}")
    return result


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def redis_acl(passwords: dict[str, str]) -> str:
    template = (ROOT / "redis" / "users.acl.template").read_text(encoding="utf-8")
    lines = [line for line in template.splitlines() if line and not line.startswith("#")]
    return (
        re.sub(r"@(\w+)_SHA256@", lambda found: hashlib.sha256(passwords[found[1].lower()].encode()).hexdigest(), "\n".join(lines)) + "\n"
    )


@dataclass(frozen=True)
class Secret:
    """A file below the folder of secrets."""

    name: str
    text: str
    uid: int = SERVICES_UID


def make_secrets(identity: str) -> list[Secret]:
    """Every file of the table in docs/deployment.md, with new passwords."""
    redis = {user: secrets.token_hex(16) for user in ("poller", "decryptor", "loader", "flower")}
    database = {role: secrets.token_hex(16) for role in ("owner", "migrator", "loader", "operator")}
    return [
        Secret("identities/host.txt", identity + "\n"),
        Secret("redis_users.acl", redis_acl(redis), IMAGES_UID),
        *(Secret(f"redis_url_{user}", f"redis://{user}:{password}@redis:6379/0") for user, password in redis.items()),
        *(Secret(f"database_url_{r}", f"postgresql://hikyaku_{r}:{database[r]}@postgres/hikyaku") for r in ("loader", "migrator")),
        Secret("postgres_password", secrets.token_hex(16), IMAGES_UID),
        Secret("roles.env", "".join(f"HIKYAKU_{role.upper()}_PASSWORD={password}\n" for role, password in database.items()), IMAGES_UID),
        Secret("flower_auth", f"operator:{secrets.token_hex(16)}"),
        # LocalStack's deployment replaces these two; the files must exist before the containers do.
        *(Secret(f"local/{role}.credentials", "") for role in ("poller", "decryptor")),
    ]


def write_secrets(folder: Path, files: list[Secret]) -> None:
    for file in files:
        path = folder / file.name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(file.text, encoding="utf-8")
        os.chown(path, file.uid, file.uid)


class Host:
    """One project of docker compose, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = folder / "secrets"
        identity = pyrage.x25519.Identity.generate()
        self.recipient = str(identity.to_public())
        write_secrets(self.secrets, make_secrets(str(identity)))
        self.config = folder / "config"
        self.config.mkdir()
        # A host name, as LocalStack's is here, asks for path-style addresses; with AWS the file stays empty.
        (self.config / "aws_config").write_text("[default]\ns3 =\n    addressing_style = path\n", encoding="utf-8")
        self.flower_port, self.aws_port = free_port(), free_port()
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in self._settings().items()), encoding="utf-8")

    def _settings(self) -> dict[str, str]:
        return {
            "AWS_REGION": "ap-northeast-1",
            "AWS_ENDPOINT_URL": "http://localstack:4566",
            "HIKYAKU_BUCKET": BUCKET,
            "HIKYAKU_QUEUE_URL": f"{QUEUES}/hikyaku-ingest",
            "HIKYAKU_DLQ_URL": f"{QUEUES}/hikyaku-ingest-dlq",
            "HIKYAKU_SECRETS": str(self.secrets),
            "HIKYAKU_AWS_SECRETS": str(self.secrets / "local"),
            "HIKYAKU_CONFIG": str(self.config),
            "HIKYAKU_SPOOL_SIZE": "64m",
            "HIKYAKU_FLOWER_PORT": str(self.flower_port),
            "HIKYAKU_LOCALSTACK_PORT": str(self.aws_port),
            "COMPOSE_PROFILES": "database,local",
        }

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        env_file = str(self.folder / ".env")
        file = str(ROOT / "docker-compose.yml")
        return run("docker", "compose", "-p", "hikyaku-test", "--env-file", env_file, "-f", file, *arguments, check=check)

    def python(self, service: str, code: str) -> subprocess.CompletedProcess[str]:
        """Run a piece of Python in a service's container, as the service itself would."""
        return self.compose("exec", "-T", service, "python", "-c", code, check=False)

    def container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).stdout.strip()

    def inspect(self, service: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(run("docker", "inspect", self.container(service)).stdout)[0]
        return found

    def health(self, service: str) -> str:
        return run("docker", "inspect", "--format", "{{.State.Health.Status}}", self.container(service)).stdout.strip()

    def sql(self, query: str) -> str:
        """Rows, unaligned, as the superuser."""
        words = ("psql", "-U", "postgres", "-d", "hikyaku", "-v", "ON_ERROR_STOP=1", "-Atc", query)
        return self.compose("exec", "-T", "postgres", *words).stdout.strip()

    def send(self, dataset: str, name: str, csv: str) -> str:
        """Send a file by the sender's own command and return its key."""
        file = self.folder / f"{name}.csv"
        file.write_text(csv, encoding="utf-8")
        environment = {
            "AWS_SHARED_CREDENTIALS_FILE": str(self.secrets / "local" / f"{SENDS_AS}.credentials"),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.aws_port}",
            "AWS_REGION": "ap-northeast-1",
        }
        to = f"s3://{BUCKET}/incoming/{dataset}/"
        run("hikyaku", "send", str(file), "--to", to, "-r", self.recipient, environment=environment)
        return f"incoming/{dataset}/{name}.csv.gz.age"

    def fate(self, key: str) -> str:
        """Status in the ledger, empty while there is none."""
        return self.sql(f"SELECT string_agg(status || ' ' || coalesce(rows_loaded::text, ''), ',') FROM hikyaku.files WHERE key = '{key}'")
