"""docs/install.md and docs/operations.md, followed word for word on a host of its own, which reaches a LocalStack as any AWS."""

import json
import re
import subprocess
from typing import Self

from documented import follow
from host import BUCKET, Host, eventually, run, timed

QUEUES = "http://localstack:4566/000000000000"
AWS = {"HIKYAKU_BUCKET": BUCKET, "HIKYAKU_QUEUE_URL": f"{QUEUES}/hikyaku-ingest", "HIKYAKU_DLQ_URL": f"{QUEUES}/hikyaku-ingest-dlq"}
STAYING = {"poller", "decryptor", "loader", "flower", "redis", "postgres"}


def snapshot(server: Host) -> dict[str, tuple[str, int, int]]:
    files = [path for path in server.secrets.rglob("*") if path.is_file()]
    return {str(path): (path.read_text(encoding="utf-8"), path.stat().st_mode, path.stat().st_uid) for path in files}


def fill_in(server: Host, values: dict[str, str]) -> None:
    """As with an editor."""
    path = server.folder / ".env"
    text = path.read_text(encoding="utf-8")
    for name, value in values.items():
        text, count = re.subn(rf"^#? ?{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        assert count == 1, name
    path.write_text(text, encoding="utf-8")


def test_without_env_nothing_is_warned_of(server: Host) -> None:
    assert server.compose("config", "--quiet").stderr == ""


def test_setup_makes_what_is_missing_and_says_what_is_left(server: Host) -> None:
    with timed("`docker compose run --rm setup`"):
        shown = follow(server, "install.md", "setup")
    assert "HIKYAKU_BUCKET" in shown
    assert "aws_credentials" in shown
    assert server.recipient() in shown
    owners = {path.name: path.stat().st_uid for path in server.secrets.iterdir()}
    assert owners == dict.fromkeys(("poller", "decryptor", "loader", "migrate", "flower", "operator", "owner"), 10001) | dict.fromkeys(
        ("redis", "postgres"), 999
    )
    assert not [path for path, (_, mode, _) in snapshot(server).items() if mode & 0o077], "readable by others"


def test_setup_again_changes_nothing(server: Host) -> None:
    before, env = snapshot(server), (server.folder / ".env").read_text(encoding="utf-8")
    follow(server, "install.md", "setup")
    assert snapshot(server) == before
    assert (server.folder / ".env").read_text(encoding="utf-8") == env
    assert server.compose("config", "--quiet").stderr == ""


def test_an_unset_value_is_named_with_what_to_do(server: Host) -> None:
    result = server.compose("run", "--rm", "-T", "--no-deps", "poller", check=False)
    assert result.returncode == 2
    assert re.search(r"HIKYAKU_BUCKET: is not set", result.stderr)
    assert ".env" in result.stderr


def test_the_stack_starts_and_loads_a_file(server: Host) -> None:
    fill_in(server, AWS)
    # In the place of AWS, and of the person who puts the users' access keys there.
    server.compose("up", "-d", "--wait", "--no-deps", "localstack")
    with timed("`docker compose up -d --wait`, first start of a production host"):
        follow(server, "install.md", "up")
    assert {service: server.health(service) for service in STAYING} == dict.fromkeys(STAYING, "healthy")
    follow(server, "install.md", "table")
    follow(server, "install.md", "unsigned")
    server.arrives(server.send("orders", "2026-11", "id,item,qty\n1,座布団,5\n2,提灯,12\n"), 2)
    assert "座布団" in follow(server, "install.md", "look")


def test_logs_are_json(server: Host) -> None:
    lines = [json.loads(line) for service in ("poller", "decryptor", "loader", "flower") for line in server.logs(service)]
    assert {line["service"] for line in lines} >= {"poller", "decryptor", "loader"}
    assert any(line.get("dataset") == "orders" for line in lines)


def test_an_upgrade_keeps_everything(server: Host) -> None:
    follow(server, "operations.md", "upgrade")
    server.arrives(server.send("orders", "after-upgrade", "id,item,qty\n3,団扇,1\n"), 1)


def test_a_backup_restores_on_an_empty_host(server: Host) -> None:
    follow(server, "operations.md", "backup")
    kept = server.sql("SELECT string_agg(o::text, ',' ORDER BY id) FROM public.orders o"), server.sql("SELECT count(*) FROM hikyaku.files")
    server.compose("down", "--volumes")
    # All of Redis, Flower and the spool is gone for good: they are disposable.
    run("rm", "-rf", str(server.secrets), str(server.folder / "config"), str(server.folder / ".env"))
    follow(server, "operations.md", "restore")
    assert (
        server.sql("SELECT string_agg(o::text, ',' ORDER BY id) FROM public.orders o"),
        server.sql("SELECT count(*) FROM hikyaku.files"),
    ) == kept
    server.compose("up", "-d", "--wait", "--no-deps", "localstack")
    server.arrives(server.send("orders", "after-restore", "id,item,qty\n4,扇子,2\n"), 1)
    # What was loaded before the backup is known: the same content is not loaded again.
    again = server.send("orders", "again", "id,item,qty\n1,座布団,5\n2,提灯,12\n")
    eventually(lambda: server.fate(again).startswith("duplicate"), f"{again} is a duplicate")


def test_images_travel_without_a_registry(server: Host) -> None:
    follow(server, "install.md", "save")
    images = server.compose("--profile", "tools", "--profile", "database", "config", "--images").stdout.split()
    loaded = follow(server, "install.md", "load")
    assert all(image in loaded for image in images)
    (server.folder / "hikyaku-images.tar").unlink()


def test_a_database_of_ones_own(server: Host) -> None:
    """Another server in the place of the stack's: roles by the documented script, URLs by hand."""
    server.compose("down")
    fill_in(server, {"COMPOSE_PROFILES": "", "HIKYAKU_DATABASE_INTERNAL": "false"})
    for role in ("loader", "migrate", "operator", "owner"):
        url = server.secrets / role / "database_url"
        url.write_text(url.read_text(encoding="utf-8").replace("@postgres/", "@db.example.com/"), encoding="utf-8")
    server.compose("up", "--no-start", "migrate")
    with Database(server) as database:
        database.shell("set -a; . /run/secrets/roles.env; psql -v ON_ERROR_STOP=1 -q -f /etc/hikyaku/roles.sql")
        follow(server, "install.md", "up")
        assert "postgres" not in server.compose("ps", "--services").stdout.split()
        database.shell("psql -d hikyaku -c 'SET ROLE hikyaku_owner; CREATE TABLE public.own (id int PRIMARY KEY, word text)'")
        server.compose("up", "-d", "--wait", "--no-deps", "localstack")
        with (server.folder / "config" / "datasets.toml").open("a", encoding="utf-8") as file:
            file.write('[datasets.own]\nsignature = "if_present"\n')
        server.send("own", "file", "id,word\n1,a\n")
        count = "psql -d hikyaku -Atc 'SELECT count(*) FROM public.own'"
        eventually(lambda: database.shell(count) == "1", "the file is in the other database")


class Database:
    """A PostgreSQL that is no part of the compose project, only in reach of its network `database`."""

    def __init__(self, server: Host) -> None:
        self.server, self.name = server, f"{server.name}-db"
        self.password = (server.secrets / "postgres" / "password").read_text(encoding="utf-8").strip()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        run("docker", "rm", "--force", "--volumes", self.name, check=False)

    def _start(self) -> None:
        images = self.server.compose("--profile", "database", "config", "--images").stdout.split()
        (image,) = [image for image in images if "postgres" in image]
        secrets = f"{self.server.secrets / 'postgres'}:/run/secrets:ro"
        roles = f"{self.server.folder / 'services/loader/src/loader/sql/roles.sql'}:/etc/hikyaku/roles.sql:ro"
        network = ("--network", f"{self.server.name}_database", "--network-alias", "db.example.com")
        settings = ("-e", "POSTGRES_DB=elsewhere", "-e", "POSTGRES_USER=postgres", "-e", "POSTGRES_PASSWORD_FILE=/run/secrets/password")
        run("docker", "run", "-d", "--name", self.name, *network, "-v", secrets, "-v", roles, *settings, "--user", "999:999", image)
        eventually(lambda: self._try("psql -d elsewhere -c 'SELECT 1'").returncode == 0, "the database answers")

    def _try(self, command: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        settings = ("-e", f"PGPASSWORD={self.password}", "-e", "PGHOST=127.0.0.1", "-e", "PGUSER=postgres")
        return run("docker", "exec", *settings, self.name, "sh", "-c", command, check=check)

    def shell(self, command: str) -> str:
        return self._try(command, check=True).stdout.strip()


def test_an_uninstall_leaves_nothing_of_the_engine(server: Host) -> None:
    follow(server, "operations.md", "uninstall")
    for kind in ("container", "volume", "network"):
        listing = ("docker", kind, "ls", "--quiet", "--filter", f"label=com.docker.compose.project={server.name}")
        assert run(*listing).stdout == "", kind
