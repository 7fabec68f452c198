"""`python -m loader.migrate`: bring schema hikyaku to what this version of the loader needs.

It may run twice, and several may run at once: a session-level advisory lock parts them. Exit 0: up to date. 1: PostgreSQL
refused or was not there. 2: the settings are wrong.
"""

import os
import sys

import psycopg
from psycopg.conninfo import conninfo_to_dict
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI

from loader.database import bounded
from loader.settings import MigrateSettings
from shared import logging
from shared.settings import load

SCHEMA = "hikyaku"
MIGRATIONS = "package:loader:sql/migrations"
TABLE = "_yoyo_migrations"
LOCK = 0x68696B79616B75
"""Advisory lock that one migrating process holds: "hikyaku" in ASCII."""


def main() -> int:
    """Run as a program."""
    settings = load(MigrateSettings)
    logging.configure("migrate", settings.instance, settings.log_format, settings.log_level)
    # yoyo notes who migrated and fails where the user id has no name, as in a container that runs under any number.
    os.environ.setdefault("LOGNAME", "hikyaku-migrate")
    try:
        applied = migrate(settings.database_url.get_secret_value())
    except psycopg.Error as error:
        sys.stderr.write(f"hikyaku: the migrations did not run: {error}\n")
        return 1
    logging.get_logger().info("migrated", action="migrate", applied=applied)
    return 0


def migrate(conninfo: str) -> list[str]:
    """Apply what is not applied yet.

    Args:
        conninfo: libpq URL or keyword string of a role that owns schema hikyaku, or may create it.

    Returns:
        Names of the migrations that this call applied.

    Raises:
        psycopg.Error: PostgreSQL is not there, or refused.
        RuntimeError: a migration could not be read (a broken installation).
    """
    conninfo = bounded(conninfo, "hikyaku-migrate")
    with psycopg.connect(conninfo, autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        # CREATE SCHEMA IF NOT EXISTS wants the right to create even when there is nothing to do.
        if guard.execute("SELECT FROM pg_namespace WHERE nspname = %s", (SCHEMA,)).fetchone() is None:
            guard.execute(f"CREATE SCHEMA {SCHEMA}")
        return _apply(conninfo)


def _apply(conninfo: str) -> list[str]:
    """Let yoyo do it. Whoever calls holds the lock, so a yoyo lock that is still there is left over from a killed run."""
    with PostgresqlPsycopgBackend(_uri(conninfo), TABLE) as backend:
        backend.init_database()
        backend.break_lock()
        migrations = backend.to_apply(read_migrations(MIGRATIONS))
        with backend.lock():
            backend.apply_migrations(migrations)
        # yoyo passes over a migration that it can't read.
        if left := [migration.id for migration in backend.to_apply(migrations)]:
            raise RuntimeError(f"not applied: {', '.join(left)}")
        return [migration.id for migration in migrations]


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
