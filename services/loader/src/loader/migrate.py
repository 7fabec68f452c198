"""`python -m loader.migrate`: bring schema hikyaku to what this version of the loader needs.

It may run twice, and several may run at once: a session-level advisory lock parts them. Exit 0: up to date. 1: PostgreSQL
refused or was not there. 2: the settings are wrong.
"""

import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import DeadlockDetected, LockNotAvailable
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI

from loader.database import bounded
from loader.settings import MigrateSettings
from shared import logging, protocol
from shared.settings import load

SCHEMA = "hikyaku"
MIGRATIONS = "package:loader:sql/migrations"
TABLE = "_yoyo_migrations"
LOCK = 0x68696B79616B75
"""Advisory lock that one migrating process holds: "hikyaku" in ASCII."""
BUSY = (LockNotAvailable, DeadlockDetected)
"""Somebody else works with the table. Of a migration that meets this nothing stays: each is one transaction."""
LONGEST_PAUSE_S = 10.0


def main() -> int:
    """Run as a program."""
    settings = load(MigrateSettings)
    logging.configure("migrate", settings.instance, settings.log_format, settings.log_level)
    # yoyo notes who migrated and fails where the user id has no name, as in a container that runs under any number.
    os.environ.setdefault("LOGNAME", "hikyaku-migrate")
    url, connect, tcp = settings.database_url.get_secret_value(), settings.database_connect_timeout, settings.database_tcp_timeout
    try:
        applied = migrate(
            bounded(url, "hikyaku-migrate", connect, tcp), lock_timeout=settings.migrate_lock_timeout, wait=settings.migrate_wait
        )
    except BUSY:
        sys.stderr.write(
            f"hikyaku: the migrations did not run: the ledger was in use for {settings.migrate_wait} s, by a load or by another migration. "
            "Nothing is half done: run it again when no large file is being loaded, or raise HIKYAKU_MIGRATE_WAIT\n"
        )
        return 1
    except psycopg.Error as error:
        sys.stderr.write(f"hikyaku: the migrations did not run: {error}\n")
        return 1
    logging.get_logger().info("migrated", action="migrate", applied=applied)
    return 0


def migrate(
    conninfo: str,
    *,
    lock_timeout: int = 2,
    wait: float = 600,
    source: str = MIGRATIONS,
    pause: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Apply what is not applied yet, while loaders work.

    A change of a table waits until nobody uses it, and whoever comes after it waits behind it: behind one load of three hours, a
    migration that simply waited would stop every later file for as long. So it waits for seconds only, then steps aside and tries again.

    Args:
        conninfo: libpq URL or keyword string of a role that owns schema hikyaku, or may create it.
        lock_timeout: seconds to wait for a table at a time.
        wait: seconds after which a table that is still in use is no longer tried; also, how long another migration is waited for.
        source: of the migrations: a folder, or one in a package.
        pause: lets so many seconds pass between two tries.

    Returns:
        Names of the migrations that this call applied.

    Raises:
        BUSY: a table was in use all the time.
        psycopg.Error: PostgreSQL is not there, or refused.
        RuntimeError: a migration could not be read (a broken installation).
    """
    conninfo = bounded(conninfo, "hikyaku-migrate")
    with psycopg.connect(conninfo, autocommit=True) as guard:
        _set_lock_timeout(guard, max(wait, lock_timeout))
        guard.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        # CREATE SCHEMA IF NOT EXISTS wants the right to create even when there is nothing to do.
        if guard.execute("SELECT FROM pg_namespace WHERE nspname = %s", (SCHEMA,)).fetchone() is None:
            guard.execute(f"CREATE SCHEMA {SCHEMA}")
        applied: list[str] = []
        end = time.monotonic() + wait
        for tries in itertools.count():
            try:
                _apply(conninfo, source, lock_timeout, applied)
            except BUSY as error:
                if time.monotonic() >= end:
                    raise
                logging.get_logger().info("table_in_use", action="migrate", reason=type(error).__name__)
                pause(protocol.doubling(tries, LONGEST_PAUSE_S))
            else:
                break
        return applied


def _apply(conninfo: str, source: str, lock_timeout: float, applied: list[str]) -> None:
    """Let yoyo do it. Whoever calls holds the lock, so a yoyo lock that is still there is left over from a killed run."""
    with _backend_class(lock_timeout)(_uri(conninfo), TABLE) as backend:
        backend.init_database()
        backend.break_lock()
        migrations = backend.to_apply(read_migrations(source))
        with backend.lock():
            try:
                backend.apply_migrations(migrations)
            finally:
                left = [migration.id for migration in backend.to_apply(migrations)]
                applied += [migration.id for migration in migrations if migration.id not in left]
        # yoyo passes over a migration that it can't read.
        if left:
            raise RuntimeError(f"not applied: {', '.join(left)}")


def _backend_class(lock_timeout: float) -> type[PostgresqlPsycopgBackend]:
    class Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
        def init_connection(self, connection: psycopg.Connection[Any]) -> None:
            """Of yoyo's: each migration has a connection of its own."""
            super().init_connection(connection)
            _set_lock_timeout(connection, lock_timeout)

    return Backend


def _set_lock_timeout(connection: psycopg.Connection[Any], seconds: float) -> None:
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{seconds * 1000:.0f}ms",))


def _uri(conninfo: str) -> DatabaseURI:
    """What yoyo connects by, made from libpq's own parsing, so that every form of conninfo works. Its tables live in our schema."""
    parts = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    return DatabaseURI(
        scheme="postgresql+psycopg",
        username=parts.pop("user", None),
        password=parts.pop("password", None),
        hostname=parts.pop("host", None),
        port=parts.pop("port", None),
        database=parts.pop("dbname", None),
        args={**parts, "schema": SCHEMA},
    )


if __name__ == "__main__":
    sys.exit(main())
