"""The one connection of a worker's process: opened by the first file, kept for the next ones, opened anew when it broke."""

import time
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from shared.logging import get_logger

CONNECT_TIMEOUT_S = 5
KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
"""So that a database host that vanished is noticed within a minute, not after the kernel's two hours."""
PREPARE_AFTER = 1
LIFETIME_S = 3600.0
"""A session that lives for months holds back the freezing of old rows by its temporary tables, and remembers too much."""
SESSION = """
SELECT
    set_config('lock_timeout', %(lock_timeout)s, false),
    set_config('statement_timeout', %(statement_timeout)s, false),
    -- A commit that a crash can undo would let a message be deleted whose rows are lost.
    set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
        ELSE current_setting('synchronous_commit') END, false)
"""


class Database:
    """Keeps a connection. A process that forks must do so before the first file: workers open their own.

    Args:
        conninfo: libpq URL or keyword string.
        lock_timeout: seconds.
        statement_timeout: seconds.
    """

    def __init__(self, conninfo: str, lock_timeout: int, statement_timeout: int) -> None:
        self._conninfo = make_conninfo(conninfo, **_defaults(conninfo))
        self._timeouts = {"lock_timeout": f"{lock_timeout}s", "statement_timeout": f"{statement_timeout}s"}
        self._connection: psycopg.Connection[Any] | None = None
        self._born = 0.0

    def connection(self) -> psycopg.Connection[Any]:
        """The kept connection, or a new one. It may turn out to be lost: only using it tells, and then `closed` says so.

        Autocommit is on so that nothing lies open between files: what belongs together says so with `transaction()`.

        Raises:
            psycopg.OperationalError: PostgreSQL is not there.
        """
        now = time.monotonic()
        if self._connection is None or self._connection.closed or now - self._born > LIFETIME_S:
            self.close()
            self._connection, self._born = self._connect(), now
        return self._connection

    def close(self) -> None:
        """Let go of the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=PREPARE_AFTER)
        except psycopg.OperationalError as error:
            # Before there is a session, libpq's text tells of addresses, certificates and roles: no row's data, no password.
            get_logger().warning("not_connected", action="connect", reason=" ".join(str(error).split()))
            raise
        # The checks after the table's lock must see what the previous holder committed.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection.execute(SESSION, self._timeouts)
        get_logger().info("connected", action="connect", host=connection.info.host, port=connection.info.port, user=connection.info.user)
        return connection


def _defaults(conninfo: str) -> dict[str, Any]:
    """What the URL itself does not say."""
    wanted = {"application_name": "hikyaku-loader", "connect_timeout": CONNECT_TIMEOUT_S, **KEEPALIVE}
    said = psycopg.conninfo.conninfo_to_dict(conninfo)
    return {"client_encoding": "UTF8", **{name: value for name, value in wanted.items() if name not in said}}
