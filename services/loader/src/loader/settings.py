"""Settings of the loader and of its migrations."""

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
    lock_timeout: int = Field(default=900, ge=1)
    """Seconds to wait for another file of the same table, or for the same file in other hands, before trying again later."""
    statement_timeout: int = Field(default=3 * 3600, ge=1)
    """Seconds that one statement may take; COPY of a whole file is one. Keep it below the task's limit."""


class MigrateSettings(CommonSettings):
    """What `python -m loader.migrate` reads. It talks to PostgreSQL only."""

    redis_url: SecretStr = SecretStr("")
    database_url: DatabaseUrl
    """postgresql:// URL with the migrator's role, which owns schema hikyaku."""
