"""The one connection of a worker's process: opened by the first file, kept for the next ones, opened anew when it broke."""

import logging
import time
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from shared.logging import get_logger

CLIENT_CHECK = "10s"
"""How often PostgreSQL looks whether we are still there while it works for us: a killed loader's locks go soon."""
PROBES = 2
PREPARE_AFTER = 1
LIFETIME_S = 3600.0
"""A session that lives for months holds back the freezing of old rows by its temporary tables, and remembers too much."""
SESSION = """
SELECT
    set_config('lock_timeout', %(lock_timeout)s, false),
    set_config('statement_timeout', %(statement_timeout)s, false),
    -- Where the loader is stopped between two statements, its locks must not stay.
    set_config('idle_in_transaction_session_timeout', %(idle_timeout)s, false),
    -- Other systems refuse a value.
    set_config('client_connection_check_interval', CASE WHEN version() LIKE '%%linux%%' THEN %(client_check)s
        ELSE current_setting('client_connection_check_interval') END, false),
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
        idle_timeout: seconds within a transaction without a statement.
        connect_timeout: seconds, at least 2 (libpq).
        tcp_timeout: seconds for which a host that vanished is waited for, not the kernel's two hours.
    """

    def __init__(
        self,
        conninfo: str,
        lock_timeout: int,
        statement_timeout: int,
        *,
        idle_timeout: int = 60,
        connect_timeout: int = 5,
        tcp_timeout: int = 60,
    ) -> None:
        # What it passes over in ending a COPY, it logs with PostgreSQL's CONTEXT: a piece of the row. What counts is raised in any case.
        logging.getLogger("psycopg").setLevel(logging.CRITICAL)
        self._conninfo = bounded(conninfo, "hikyaku-loader", connect_timeout, tcp_timeout)
        self._timeouts = {
            "lock_timeout": f"{lock_timeout}s",
            "statement_timeout": f"{statement_timeout}s",
            "idle_timeout": f"{idle_timeout}s",
            "client_check": CLIENT_CHECK,
        }
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

    def another(self) -> psycopg.Connection[Any]:
        """A connection that is kept by whoever asked for it.

        Raises:
            psycopg.OperationalError: PostgreSQL is not there.
        """
        return self._connect()

    def is_silent(self) -> bool:
        """Whether PostgreSQL takes connections and says nothing, or does not even take them: twice in a row, within the connect timeout.

        Anything that it says, and a refusal too, is an answer: then the connection that we wait on will end by itself.
        """
        return all(self._is_silent_once() for _ in range(PROBES))

    def _is_silent_once(self) -> bool:
        try:
            psycopg.connect(self._conninfo, application_name="hikyaku-loader-probe").close()
        except psycopg.errors.ConnectionTimeout:
            return True
        except psycopg.OperationalError:
            return False
        return False

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


def bounded(conninfo: str, name: str, connect_timeout: int = 5, tcp_timeout: int = 60) -> str:
    """What the URL says and, where it says nothing, our name and how long to wait for a host that does not answer (seconds)."""
    wanted: dict[str, Any] = {
        "application_name": name,
        "connect_timeout": connect_timeout,
        "tcp_user_timeout": tcp_timeout * 1000,
        "keepalives_idle": max(tcp_timeout // 2, 1),
        "keepalives_interval": max(tcp_timeout // 6, 1),
        "keepalives_count": 3,
    }
    said = psycopg.conninfo.conninfo_to_dict(conninfo)
    return make_conninfo(conninfo, client_encoding="UTF8", **{name: value for name, value in wanted.items() if name not in said})
