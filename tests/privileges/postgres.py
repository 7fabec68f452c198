"""What each PostgreSQL role may do: by the catalogue's word (has_*_privilege), and by trying it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from integration.postgres_fixture import Database
from privileges.matrix import Matrix

ROLES = ("hikyaku_owner", "hikyaku_migrator", "hikyaku_loader", "hikyaku_operator")
TITLE = "PostgreSQL"
# What the owner has, so that there is something to be denied; and a table of somebody else's.
OWNERS_OBJECTS = """
    CREATE TABLE public.orders (id serial PRIMARY KEY, note text);
    CREATE VIEW public.orders_seen AS SELECT id FROM public.orders;
    CREATE FUNCTION public.answer() RETURNS int LANGUAGE sql AS 'SELECT 42';
"""
STRANGERS_OBJECTS = "CREATE TABLE public.strangers (id serial PRIMARY KEY)"

_RELATIONS = """
    SELECT c.oid::bigint, n.nspname, c.relname, c.relkind = 'S',
        ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('hikyaku', 'public') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') ORDER BY 2, 4, 3
"""
_FUNCTIONS = """
    SELECT p.oid::bigint, format('%s.%s(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('hikyaku', 'public') ORDER BY 2
"""
_BY_COLUMN = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
_WHOLE = ("DELETE", "TRUNCATE", "TRIGGER")
_SEQUENCE = ("USAGE", "SELECT", "UPDATE")

# Beyond what the catalogue lists. {me} is the role that tries, {pid} another's session.
CLUSTER = {
    "ALTER SYSTEM": "ALTER SYSTEM SET log_min_messages = 'warning'",
    "CREATE DATABASE": "CREATE DATABASE stolen",
    "CREATE ROLE": "CREATE ROLE stolen",
    "become superuser": "ALTER ROLE {me} SUPERUSER",
    "read passwords": "SELECT rolpassword FROM pg_authid",
    "read a file of the server": "SELECT pg_read_file('PG_VERSION')",
    "run a program on the server": "COPY (SELECT 1) TO PROGRAM 'true'",
    "write a file on the server": "COPY (SELECT 1) TO '/dev/null'",
    "make a large object of the server's file": "SELECT lo_import('/dev/null')",
    "end another's session": "SELECT pg_terminate_backend({pid})",
    "alter the ledger": "ALTER TABLE hikyaku.files ADD COLUMN stolen int",
    "drop the ledger": "DROP TABLE hikyaku.files CASCADE",
    "take the ledger's checks away": "ALTER TABLE hikyaku.files DROP CONSTRAINT files_status",
    "switch triggers and foreign keys off": "SET session_replication_role = 'replica'",
    "drop the table of a dataset": "DROP TABLE public.orders CASCADE",
}
_OUTSIDE_TRANSACTIONS = {"ALTER SYSTEM", "CREATE DATABASE"}


@dataclass(frozen=True, slots=True)
class Call:
    """One row of the matrix, with a statement that needs this privilege (and no other of the object), if it can be tried."""

    name: str
    asks: str
    """An SQL expression that says whether the role named by %s has it."""
    tries: sql.Composable | None


def filled(database: Database) -> Database:
    """The database with a dataset's table, its view, sequence and function, and a table that the owner does not own."""
    with database.connect("hikyaku_owner") as owner:
        owner.execute(OWNERS_OBJECTS)
    with database.connect("postgres") as stranger:
        stranger.execute(STRANGERS_OBJECTS)
    return database


def catalogue(database: Database) -> tuple[Matrix, list[Call]]:
    """The matrix by the catalogue's word, and the calls to try."""
    matrix, calls = Matrix(TITLE, ROLES), []
    with database.connect("postgres") as connection:
        for call in _calls(connection):
            matrix.note(call.name, [role for role in ROLES if _one(connection, f"SELECT {call.asks}", role)])
            calls.append(call)
    return _columns_folded(matrix), calls


def disagreements(database: Database, calls: list[Call]) -> Iterator[str]:
    """Really try each call as each role: where is PostgreSQL's answer not what its catalogue says?"""
    with database.connect("postgres") as connection:
        said = {(role, call.name): bool(_one(connection, f"SELECT {call.asks}", role)) for role in ROLES for call in calls}
    for role in ROLES:
        with database.connect(role) as connection:
            for call in calls:
                done = None if call.tries is None else allowed(connection, call.tries)
                if done is not None and done != said[role, call.name]:
                    yield f"{role}: {call.name}: the catalogue says {said[role, call.name]}, trying says {done}"


def cluster(database: Database) -> Matrix:
    """What was really tried beyond the objects of the two schemas, each role becoming another included."""
    matrix = Matrix("PostgreSQL, beyond the tables", ROLES)
    attempts = CLUSTER | {f"SET ROLE {role}": f"SET ROLE {role}" for role in (*ROLES, "postgres")}
    done: dict[str, set[str]] = {name: set() for name in attempts}
    for role in ROLES:
        with database.connect("postgres") as other, database.connect(role) as connection:
            for name, statement in attempts.items():
                text = sql.SQL(statement).format(me=sql.Identifier(role), pid=sql.Literal(other.info.backend_pid))
                may = allowed(connection, text, transaction=name not in _OUTSIDE_TRANSACTIONS)
                assert may is not None, f"{role}: {name}: refused for another reason than privileges"
                if may and name != f"SET ROLE {role}":
                    done[name].add(role)
    for name, roles in done.items():
        matrix.note(name, roles)
    return matrix


def allowed(connection: psycopg.Connection, statement: sql.Composable, *, transaction: bool = True) -> bool | None:
    """Whether the statement passes the check of privileges; None if it was refused for what it is, which can come before that check.

    What it did is undone; an error about values came after the check.
    """
    try:
        with connection.transaction(force_rollback=True) if transaction else contextlib.nullcontext():
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return False
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.GeneratedAlways, psycopg.errors.ObjectNotInPrerequisiteState):
        return None
    except (psycopg.DataError, psycopg.IntegrityError):
        return True
    return True


def _calls(connection: psycopg.Connection) -> Iterator[Call]:
    yield from _calls_of_database(connection)
    for oid, schema, name, is_sequence, columns in connection.execute(_RELATIONS).fetchall():
        shown, relation = f"{schema}.{name}", sql.Identifier(schema, name)
        if is_sequence:
            yield from _calls_of_sequence(oid, shown, relation)
        else:
            yield from _calls_of_table(connection, oid, shown, relation, columns)
    for oid, signature in connection.execute(_FUNCTIONS).fetchall():
        call = sql.SQL(f"SELECT {signature}") if signature.endswith("()") else None
        yield Call(f"{signature} EXECUTE", f"has_function_privilege(%s, {oid}::oid, 'EXECUTE')", call)


def _calls_of_database(connection: psycopg.Connection) -> Iterator[Call]:
    tries = {"CREATE": "CREATE SCHEMA stolen", "TEMPORARY": "CREATE TEMPORARY TABLE stolen ()"}
    for privilege in ("CONNECT", "TEMPORARY", "CREATE"):
        statement = sql.SQL(tries[privilege]) if privilege in tries else None
        yield Call(f"database {privilege}", f"has_database_privilege(%s, current_database(), '{privilege}')", statement)
    for (schema,) in connection.execute("SELECT unnest(ARRAY['hikyaku', 'public'])").fetchall():
        yield Call(f"schema {schema} USAGE", f"has_schema_privilege(%s, '{schema}', 'USAGE')", None)
        create = sql.SQL("CREATE TABLE {}.stolen ()").format(sql.Identifier(schema))
        yield Call(f"schema {schema} CREATE", f"has_schema_privilege(%s, '{schema}', 'CREATE')", create)


def _calls_of_table(connection: psycopg.Connection, oid: int, shown: str, relation: sql.Identifier, columns: list[str]) -> Iterator[Call]:
    for privilege in _BY_COLUMN:
        for column in columns:
            asks = f"has_column_privilege(%s, {oid}::oid, '{column}', '{privilege}')"
            yield Call(f"{shown}.{column} {privilege}", asks, _column_statement(privilege, relation, sql.Identifier(column)))
    whole = (*_WHOLE, "MAINTAIN") if connection.info.server_version >= 170000 else _WHOLE
    tries = {"DELETE": sql.SQL("DELETE FROM {} WHERE false"), "TRUNCATE": sql.SQL("TRUNCATE {}")}
    is_view = _one(connection, "SELECT relkind = 'v' FROM pg_class WHERE oid = %s", oid)
    for privilege in whole:
        statement = tries[privilege].format(relation) if privilege in tries and not (is_view and privilege == "TRUNCATE") else None
        yield Call(f"{shown} {privilege}", f"has_table_privilege(%s, {oid}::oid, '{privilege}')", statement)
    any_grant = ", ".join(f"{privilege} WITH GRANT OPTION" for privilege in (*_BY_COLUMN, *whole))
    yield Call(f"{shown} GRANT", f"has_table_privilege(%s, {oid}::oid, '{any_grant}')", None)


def _column_statement(privilege: str, relation: sql.Identifier, column: sql.Identifier) -> sql.Composable | None:
    """Checks are made when a statement begins, so that an empty result, or a row that is refused, will do."""
    statements = {
        "SELECT": "SELECT {column} FROM {relation} LIMIT 0",
        "INSERT": "INSERT INTO {relation} ({column}) VALUES (DEFAULT)",
        "UPDATE": "UPDATE {relation} SET {column} = DEFAULT WHERE false",
    }
    return sql.SQL(statements[privilege]).format(relation=relation, column=column) if privilege in statements else None


def _calls_of_sequence(oid: int, shown: str, relation: sql.Identifier) -> Iterator[Call]:
    name = sql.Literal(shown)
    tries: dict[str, sql.Composable] = {
        "SELECT": sql.SQL("SELECT last_value FROM {}").format(relation),
        "UPDATE": sql.SQL("SELECT setval({}, 1)").format(name),
    }
    for privilege in _SEQUENCE:
        # nextval is content with UPDATE too, so it can't tell the two apart.
        yield Call(f"{shown} {privilege}", f"has_sequence_privilege(%s, {oid}::oid, '{privilege}')", tries.get(privilege))


def _columns_folded(matrix: Matrix) -> Matrix:
    """One row for a table where all its columns are alike."""
    folded = Matrix(matrix.title, matrix.roles)
    groups: dict[str, dict[str, frozenset[str]]] = {}
    for call, roles in matrix.allowed.items():
        name, _, privilege = call.rpartition(" ")
        table, _, column = name.rpartition(".")
        key = f"{table} {privilege}" if privilege in _BY_COLUMN and table.count(".") == 1 and column else call
        groups.setdefault(key, {})[call] = roles
    for key, rows in groups.items():
        if len(set(rows.values())) == 1:
            folded.note(key, next(iter(rows.values())))
        else:
            folded.allowed.update(rows)
    return folded


def _one(connection: psycopg.Connection, query: str, *values: object) -> object:
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return row[0]
