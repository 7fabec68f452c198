"""Which records are no text of their encoding, by PostgreSQL's own judgement: Python's tables differ from it in both directions."""

from typing import Any

import psycopg

from loader import records, sqlstate
from loader.dialect import Dialect
from loader.front import lines_in
from loader.reading import Reading
from shared.datasets import POSTGRESQL_ENCODINGS
from shared.errors import ErrorCode, Rejected

JUDGE = "SELECT length(convert_from(%b, %s)) IS NOT NULL"
WRONG = (psycopg.errors.CharacterNotInRepertoire, psycopg.errors.UntranslatableCharacter)


def no_text(connection: psycopg.Connection[Any], reading: Reading) -> frozenset[int]:
    """Places where records begin that PostgreSQL would refuse for their bytes. Each costs a savepoint.

    Raises:
        Rejected: too many are.
        Retryable: the database fails.
    """
    dialect = Dialect.of(reading.dataset)
    name = POSTGRESQL_ENCODINGS[dialect.encoding]
    if name == "UTF8":
        # The one encoding that both judge alike: the sieve does it on the way.
        return frozenset()
    found: set[int] = set()
    try:
        pieces, line = reading.whole()
        for piece in pieces:
            if not _is_text(connection, piece, name):
                found.update(begin for begin, record in records.walk([piece], dialect, line) if not _is_text(connection, record, name))
            if len(found) > records.MOST_REJECTS:
                raise Rejected(ErrorCode.TOO_MANY_REJECTED_ROWS, f"more than {records.MOST_REJECTS} records are not {dialect.encoding}")
            line += lines_in(piece)
    except psycopg.Error as error:
        raise sqlstate.translate(error) from None
    return frozenset(found)


def _is_text(connection: psycopg.Connection[Any], data: bytes, name: str) -> bool:
    try:
        with connection.transaction():
            # A NUL is looked for elsewhere; it would hide what comes behind.
            connection.execute(JUDGE, (data.replace(b"\0", b""), name))
    except WRONG:
        return False
    return True
