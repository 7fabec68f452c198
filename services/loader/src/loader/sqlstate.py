"""What PostgreSQL's errors mean for a file (SQLSTATEs: PostgreSQL manual, appendix A).

PostgreSQL's own texts repeat values of the row at hand (message, detail and context do), and so does `str(error)`. So nothing
of them is passed on but numbers and names from the catalog; whoever raises what these functions return does so `from None`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import psycopg

from loader import places
from shared.errors import CourierError, ErrorCode, Rejected, Retryable

REJECTED = MappingProxyType(
    {
        "22021": (ErrorCode.ENCODING_INVALID, "is not valid in the dataset's encoding: correct the file, or `encoding` in datasets.toml"),
        "22P05": (ErrorCode.ENCODING_INVALID, "has a character that the database's encoding lacks"),
        "22P04": (ErrorCode.CSV_MALFORMED, "has too few or too many fields"),
        "22P02": (ErrorCode.VALUE_INVALID, "is not a value of the column's type"),
        "22001": (ErrorCode.VALUE_INVALID, "is too long for the column"),
        "22003": (ErrorCode.VALUE_INVALID, "is out of the range of the column's type"),
        "22007": (ErrorCode.VALUE_INVALID, "is not a date or time that PostgreSQL reads"),
        "22008": (ErrorCode.VALUE_INVALID, "is not a date or time that exists"),
        "22": (ErrorCode.VALUE_INVALID, "has a value that the table can't take"),
        "23502": (ErrorCode.CONSTRAINT_VIOLATED, "has no value where the table requires one"),
        "23503": (ErrorCode.CONSTRAINT_VIOLATED, "refers to a row that does not exist, or is referred to by one that stays"),
        "23505": (ErrorCode.CONSTRAINT_VIOLATED, "is there already, where the table allows it once"),
        "23514": (ErrorCode.CONSTRAINT_VIOLATED, "breaks a check of the table"),
        "23": (ErrorCode.CONSTRAINT_VIOLATED, "breaks a constraint of the table"),
        "P0": (ErrorCode.CONSTRAINT_VIOLATED, "was refused by a trigger of the table"),
        "54000": (ErrorCode.VALUE_INVALID, "is too large for a row or an index of the table"),
        "54011": (ErrorCode.COLUMNS_MISMATCH, "has more columns than the 1600 that PostgreSQL takes, the loader's own included"),
        "21000": (ErrorCode.DUPLICATE_KEYS, "has a key twice"),
        "42P01": (ErrorCode.TABLE_UNKNOWN, "goes to a table that was dropped meanwhile"),
        "42703": (ErrorCode.COLUMNS_MISMATCH, "goes to a table that was altered meanwhile: redrive it"),
        "0A000": (ErrorCode.DATASET_INVALID, "goes to a table that PostgreSQL can't load in this mode (has it rules?)"),
        "42501": (ErrorCode.DATASET_INVALID, "goes to a table that the loader may not use"),
    }
)
"""By whole SQLSTATE, else by its class: the file, or how the host is set up for it, is wrong."""

SOURCES = MappingProxyType(
    {
        "exec_stmt_raise": (ErrorCode.CONSTRAINT_VIOLATED, "was refused by a trigger of the table"),
        "ExecWithCheckOptions": (ErrorCode.CONSTRAINT_VIOLATED, "was refused by a row-level security policy of the table"),
        "ExecFindPartition": (ErrorCode.CONSTRAINT_VIOLATED, "belongs to no partition of the table"),
    }
)
"""By the function of PostgreSQL that speaks: a trigger may choose its SQLSTATE, and some mean two things."""

RETRYABLE = MappingProxyType(
    {
        "55P03": (ErrorCode.TIMEOUT, "another transaction holds a lock for longer than HIKYAKU_LOCK_TIMEOUT"),
        "57014": (ErrorCode.TIMEOUT, "a statement took longer than HIKYAKU_STATEMENT_TIMEOUT, or an operator cancelled it"),
        "25P03": (ErrorCode.TIMEOUT, "the loader was stopped in its transaction for longer than HIKYAKU_IDLE_IN_TRANSACTION_TIMEOUT"),
        "25006": (ErrorCode.DATABASE_UNAVAILABLE, "the database takes no writes at the moment"),
        "08": (ErrorCode.DATABASE_UNAVAILABLE, "the connection to PostgreSQL was lost"),
        "40": (ErrorCode.DATABASE_UNAVAILABLE, "PostgreSQL ended the transaction in favour of another"),
        "53": (ErrorCode.DATABASE_UNAVAILABLE, "PostgreSQL is out of disk, memory or connections"),
        "57": (ErrorCode.DATABASE_UNAVAILABLE, "PostgreSQL is shutting down, starting up, or an operator ended the connection"),
    }
)

OF_A_ROW = frozenset(
    {ErrorCode.ENCODING_INVALID, ErrorCode.CSV_MALFORMED, ErrorCode.VALUE_INVALID, ErrorCode.CONSTRAINT_VIOLATED, ErrorCode.DUPLICATE_KEYS}
)
"""What may be wrong with single records. All else is wrong with the file, or with how the host is set up for it."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is needed to say where in a file an error is."""

    staging: str = ""
    """The table that COPY names in an error's context."""
    line_of: Callable[[int], int] = int
    """The place of what is a line to COPY."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Types by column name."""
    grant: str = ""
    """The GRANT that a refused loader needs."""


NOWHERE = Place()


def translate(error: psycopg.Error, place: Place = NOWHERE) -> CourierError:
    """What an error while loading means: the file is wrong, or the database is not well."""
    rejection = SOURCES.get(error.diag.source_function or "") or _look_up(REJECTED, error.sqlstate)
    if rejection is None:
        return outage(error)
    code, what = rejection
    where = _where(error, place) or "the file"
    hint = f": {place.grant}" if code is ErrorCode.DATASET_INVALID and error.sqlstate == "42501" and place.grant else ""
    line = line_of(error, place)
    lines = () if line is None else (places.line(place.line_of(line)),)
    return Rejected(code, f"{where} {what}{hint}{_constraint(error)}", lines)


def outage(error: psycopg.Error) -> Retryable:
    """What an error in the ledger's own statements means: never that the file is wrong."""
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Retryable(ErrorCode.DATABASE_UNAVAILABLE, "PostgreSQL can't be reached, or the connection was lost")
    if error.sqlstate in {"42P01", "42501", "42703"}:
        return Retryable(ErrorCode.DATABASE_UNAVAILABLE, "schema hikyaku is not ready for this loader: run python -m loader.migrate")
    known = _look_up(RETRYABLE, error.sqlstate)
    code, what = known or (ErrorCode.INTERNAL_ERROR, "an error that the loader does not know")
    return Retryable(code, f"{what} (SQLSTATE {error.sqlstate or type(error).__name__})")


def _look_up(table: Mapping[str, tuple[ErrorCode, str]], sqlstate: str | None) -> tuple[ErrorCode, str] | None:
    return table.get(sqlstate or "") or table.get((sqlstate or "")[:2])


def line_of(error: psycopg.Error, place: Place) -> int | None:
    """The line that COPY speaks of, as COPY counts."""
    number = re.search(r"\d+", _said(error, place))
    return int(number[0]) if number else None


def is_of_a_row(error: psycopg.Error) -> bool:
    """Whether a single row may be what is wrong."""
    code, _ = _look_up(REJECTED, error.sqlstate) or (None, "")
    return code in OF_A_ROW


def column_of(error: psycopg.Error, place: Place) -> str | None:
    """The column that COPY speaks of, in English, unless its name has a double quote."""
    named = re.search(r"column (.+?)(?::|$)", _said(error, place))
    return error.diag.column_name or (named[1] if named else None)


def _where(error: psycopg.Error, place: Place) -> str:
    """`line 3, column amount (numeric)`, as far as known. The server's language does not matter: digits and catalog names do."""
    column, line = column_of(error, place), line_of(error, place)
    parts = [] if line is None else [f"line {places.line(place.line_of(line))}"]
    if column is not None and column in place.columns:
        parts.append(f"column {column} ({place.columns[column]})")
    return ", ".join(parts)


def _said(error: psycopg.Error, place: Place) -> str:
    """The row's text follows in double quotes: nothing beyond the first one is looked at."""
    line = _copy_context(error, place)
    return line.split('"', 1)[0].replace(place.staging, "", 1) if line else ""


def _copy_context(error: psycopg.Error, place: Place) -> str | None:
    lines = (error.diag.context or "").splitlines()
    return next((line for line in lines if place.staging and place.staging in line), None)


def _constraint(error: psycopg.Error) -> str:
    return f" (constraint {error.diag.constraint_name})" if error.diag.constraint_name else ""
