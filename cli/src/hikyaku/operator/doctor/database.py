"""PostgreSQL: the server, the roles, the migrations, and who may do what in the ledger."""

from collections.abc import Iterator
from typing import Any

import psycopg

from hikyaku.errors import UserError
from hikyaku.operator.doctor.finding import Finding, fail, ok, unknown, warn
from hikyaku.operator.doctor.scope import Scope

OLDEST = 160000
"""PostgreSQL 16: the loader asks pg_input_error_info, which came with it. The tests run on 16 and 18."""
FEW_CONNECTIONS = 20
ROLES = ("hikyaku_owner", "hikyaku_migrator", "hikyaku_loader", "hikyaku_operator")
TOO_MUCH = {
    "rolsuper": "SUPERUSER",
    "rolcreaterole": "CREATEROLE",
    "rolcreatedb": "CREATEDB",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
TIMEOUTS = ("statement_timeout", "transaction_timeout", "idle_session_timeout", "lock_timeout")
MARKS = (
    ("0001-ledger", "hikyaku.files", "file_id"),
    ("0002-counts", "hikyaku.files", "rows_deleted"),
    ("0003-order", "hikyaku.files", "order_value"),
    ("0004-groups", "hikyaku.part_chunks", ""),
    ("0005-privileges", "hikyaku.rejected_rows", "!raw_text"),
    ("0006-operator", "hikyaku.operator_actions", ""),
    ("0008-history", "hikyaku.groups", "last_part"),
    ("0009-receipts", "hikyaku.files", "bad_lines"),
    ("0010-rejects-returned", "hikyaku.rejected_rows", "+raw_text"),
)
"""What each migration has made: a table and a column of it; after `!`, one that the operator must not read since; after `+`, one that the
loader may."""
LEDGER = (
    ("hikyaku_loader", "hikyaku.files", ("SELECT", "INSERT", "UPDATE"), ("DELETE", "TRUNCATE")),
    ("hikyaku_loader", "hikyaku.watermarks", ("SELECT", "INSERT", "UPDATE"), ("DELETE", "TRUNCATE")),
    ("hikyaku_loader", "hikyaku.rejected_rows", ("INSERT",), ("UPDATE", "DELETE", "TRUNCATE")),
    ("hikyaku_loader", "hikyaku.groups", ("SELECT", "INSERT", "UPDATE"), ("DELETE", "TRUNCATE")),
    ("hikyaku_loader", "hikyaku.part_chunks", ("SELECT", "INSERT", "DELETE"), ("UPDATE", "TRUNCATE")),
    ("hikyaku_operator", "hikyaku.files", ("SELECT",), ("INSERT", "UPDATE", "DELETE", "TRUNCATE")),
    ("hikyaku_operator", "hikyaku.file_history", ("SELECT",), ()),
    ("hikyaku_operator", "hikyaku.operator_actions", ("SELECT",), ("DELETE", "TRUNCATE")),
)
"""Role, table, what it needs, and what it must not have."""
ROLES_SQL = "psql -v ON_ERROR_STOP=1 -f services/loader/src/loader/sql/roles.sql    # as superuser"
MIGRATE = "docker compose run --rm migrate"

_ATTRIBUTES = (
    "SELECT rolname, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = ANY(%s)"
)
_DATABASE = """
SELECT pg_is_in_recovery() AS standby, pg_encoding_to_char(encoding) AS encoding FROM pg_database WHERE datname = current_database()
"""
_SETTINGS = "SELECT name, setting, source FROM pg_settings WHERE name = ANY(%s)"
_COLUMN = "SELECT FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped"
_READS = "SELECT to_regclass(%s) IS NOT NULL AND has_column_privilege('hikyaku_loader', to_regclass(%s), %s, 'SELECT') AS fits"
_HAS = "SELECT to_regclass(%(table)s) IS NOT NULL AND has_table_privilege(%(role)s, to_regclass(%(table)s), %(privilege)s) AS has"

Connection = psycopg.Connection[Any]


def server(scope: Scope) -> Iterator[Finding]:
    """Whether it answers, may be written to, and is new enough."""
    scope.need("database_url")
    try:
        with scope.ledger() as connection:
            yield from _server(connection)
    except UserError as error:
        mend = "docker compose ps postgres; docker compose logs postgres; the password: docs/operations.md#passwords-and-keys"
        yield fail(error.message, "files wait, and none is loaded", mend)


def _server(connection: Connection) -> Iterator[Finding]:
    number = connection.info.server_version
    shown = connection.info.parameter_status("server_version") or str(number)
    if number < OLDEST:
        yield fail(f"PostgreSQL is {shown}, older than 16", "the loader's statements are refused", "upgrade PostgreSQL (pg_upgrade)")
    else:
        yield ok(f"PostgreSQL {shown} answers")
    [row] = connection.execute(_DATABASE).fetchall()
    if row["standby"]:
        yield fail(
            "this PostgreSQL is a standby",
            "nothing can be written to it",
            "let HIKYAKU_DATABASE_URL name the primary (target_session_attrs=read-write)",
        )
    if row["encoding"] != "UTF8":
        yield fail(
            f"the database's encoding is {row['encoding']}",
            "what it can't hold is rejected as encoding_invalid",
            "make the database anew, in UTF8",
        )


def settings(scope: Scope) -> Iterator[Finding]:
    """Those of the server that bite."""
    names = [*DURABLE, *TIMEOUTS, "max_connections", "default_transaction_read_only", "ssl"]
    with scope.ledger() as connection:
        found = {row["name"]: row for row in connection.execute(_SETTINGS, [names])}
        local = connection.info.host.startswith("/") or connection.info.hostaddr in {"127.0.0.1", "::1", ""}
        encrypted = connection.pgconn.ssl_in_use
    off = [name for name in DURABLE if found[name]["setting"] == "off"]
    for name in off:
        why = "after a crash of the host committed loads are gone, while SQS has forgotten their messages: files are lost"
        yield fail(f"{name} is off", why, _alter(name, "on"))
    if not off:
        yield ok("what is committed is on the disk (fsync, full_page_writes, synchronous_commit)")
    if found["default_transaction_read_only"]["setting"] == "on":
        yield fail("default_transaction_read_only is on", "nothing can be loaded", _alter("default_transaction_read_only", "off"))
    for name in TIMEOUTS:
        # What this connection itself asked for is no setting of the server's.
        if name in found and found[name]["source"] not in {"client", "default"} and found[name]["setting"] != "0":
            yield warn(f"the server sets {name} for everybody", "it ends long loads, or the loader's idle connections", _alter(name, "0"))
    if int(found["max_connections"]["setting"]) < FEW_CONNECTIONS:
        why = "the loader takes three for each worker; when there is none, files are tried again and again"
        yield warn(f"max_connections is {found['max_connections']['setting']}", why, _alter("max_connections", "100"))
    if not local and not encrypted:
        why = "row data and the password's exchange can be read on the network"
        yield warn("the connection is not encrypted", why, "sslmode=verify-full in the URL (docs/install.md#your-own-postgresql)")


def _alter(name: str, value: str) -> str:
    return f"psql -c 'ALTER SYSTEM SET {name} = {value}' -c 'SELECT pg_reload_conf()'    # as superuser"


def roles(scope: Scope) -> Iterator[Finding]:
    """All there, and none with more than it needs."""
    with scope.ledger() as connection:
        found = {row["rolname"]: row for row in connection.execute(_ATTRIBUTES, [list(ROLES)])}
    for role in ROLES:
        if role not in found:
            yield fail(f"there is no role {role}", "whoever logs in as it is refused", ROLES_SQL)
            continue
        if too_much := [name for column, name in TOO_MUCH.items() if found[role][column]]:
            why = "nothing parts it from the others' tables and row data any more"
            yield fail(
                f"{role} has {', '.join(too_much)}", why, f'psql -c "ALTER ROLE {role} {" ".join(f"NO{name}" for name in too_much)}"'
            )
        elif not found[role]["rolcanlogin"]:
            yield fail(f"{role} may not log in", "its service is refused", f'psql -c "ALTER ROLE {role} LOGIN"')
        else:
            yield ok(f"{role} has no attribute too many")


def migrations(scope: Scope) -> Iterator[Finding]:
    """By what each has made: yoyo's own table is the migrator's alone."""
    with scope.ledger() as connection:
        missing = [name for name, table, column in MARKS if not _is_applied(connection, table, column)]
    if missing:
        why = "the loader, or this command, asks for what is not there"
        yield fail(f"migrations are missing: {', '.join(missing)}", why, MIGRATE)
    else:
        yield ok(f"the ledger is up to date ({MARKS[-1][0]})")


def _is_applied(connection: Connection, table: str, column: str) -> bool:
    if column.startswith("!"):
        asked = "SELECT to_regclass(%s) IS NOT NULL AND NOT has_column_privilege('hikyaku_operator', to_regclass(%s), %s, 'SELECT') AS fits"
        row = connection.execute(asked, [table, table, column[1:]]).fetchone()
        return bool(row and row["fits"])
    if column.startswith("+"):
        row = connection.execute(_READS, [table, table, column[1:]]).fetchone()
        return bool(row and row["fits"])
    if column:
        return connection.execute(_COLUMN, [table, column]).fetchone() is not None
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL AS there", [table]).fetchone()
    return bool(row and row["there"])


def privileges(scope: Scope) -> Iterator[Finding]:
    """Of the loader and of the operator in the ledger."""
    with scope.ledger() as connection:
        found = list(_privileges(connection))
    yield from found or [ok("loader and operator may do in the ledger what they need, and no more")]


def _privileges(connection: Connection) -> Iterator[Finding]:
    present = {row["rolname"]: row for row in connection.execute(_ATTRIBUTES, [list(ROLES)])}
    for role, table, needed, unwanted in LEDGER:
        if role not in present or present[role]["rolsuper"]:
            yield unknown(
                f"what {role} may do to {table} is not told", "there is no such role, or it is a superuser, who may do everything"
            )
            continue
        if lacking := [each for each in needed if not _has(connection, role, table, each)]:
            yield fail(
                f"{role} lacks {', '.join(lacking)} on {table}",
                "files fail with database_unavailable",
                f'psql -c "GRANT {", ".join(lacking)} ON {table} TO {role}"',
            )
        if extra := [each for each in unwanted if _has(connection, role, table, each)]:
            why = "the ledger is the proof: nobody of the services may make it forget"
            yield warn(f"{role} has {', '.join(extra)} on {table}", why, f'psql -c "REVOKE {", ".join(extra)} ON {table} FROM {role}"')


def _has(connection: Connection, role: str, table: str, privilege: str) -> bool:
    row = connection.execute(_HAS, {"role": role, "table": table, "privilege": privilege}).fetchone()
    return bool(row and row["has"])
