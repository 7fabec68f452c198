"""Settings of the loader, of its migrations and of its check."""

from typing import Annotated

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, Field, SecretStr

from shared.settings import CommonSettings, WorkerSettings


def _conninfo(value: SecretStr) -> SecretStr:
    try:
        conninfo_to_dict(value.get_secret_value())
    except psycopg.ProgrammingError:
        # libpq's own text may repeat parts of the value.
        raise ValueError("is not a PostgreSQL URL: postgresql://user:password@host:port/database") from None
    return value


DatabaseUrl = Annotated[SecretStr, AfterValidator(_conninfo)]


class LoaderSettings(WorkerSettings):
    """What the loader reads besides what all workers read."""

    database_url: DatabaseUrl
    """postgresql:// URL with the loader's own role."""
    lock_timeout: int = Field(default=300, ge=1)
    """Seconds to wait for another file of the same table, or for the same file in other hands, before trying again later.

    Well below the task's deadline: a wait that ends is tried again without a receive, a silent chain costs one.
    """
    statement_timeout: int = Field(default=3 * 3600, ge=1)
    """Seconds that one statement may take; COPY of a whole file is one. Keep it below the task's limit."""
    idle_in_transaction_timeout: int = Field(default=60, ge=1)
    """Seconds after which PostgreSQL ends a session that does nothing in its transaction: a stopped loader's locks go."""
    database_connect_timeout: int = Field(default=5, ge=2)
    """Seconds until a connection to PostgreSQL must stand."""
    database_tcp_timeout: int = Field(default=60, ge=1)
    """Seconds for which a database host that vanished is waited for."""
    database_check_interval: int = Field(default=60, ge=1)
    """Seconds of work on a file after which a second connection tells whether PostgreSQL still answers, again and again."""


class DatabaseSettings(CommonSettings):
    """What a program reads that talks to PostgreSQL only."""

    redis_url: SecretStr = SecretStr("")
    database_url: DatabaseUrl
    """postgresql:// URL with the program's own role: of migrations, the one that owns schema hikyaku; of a check, best the loader's."""


class MigrateSettings(DatabaseSettings):
    """What `python -m loader.migrate` reads."""

    database_connect_timeout: int = Field(default=5, ge=2)
    """Seconds until a connection to PostgreSQL must stand."""
    database_tcp_timeout: int = Field(default=60, ge=1)
    """Seconds for which a database host that vanished is waited for."""
    migrate_lock_timeout: int = Field(default=2, ge=1, le=60)
    """Seconds to wait for a table at a time. So long, at worst, every file that is about to be loaded waits too."""
    migrate_wait: int = Field(default=600, ge=0)
    """Seconds to go on trying, with pauses in which files are loaded, before it is given up."""
