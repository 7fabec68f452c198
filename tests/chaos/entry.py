"""What a file says, and what the ledger says of it."""

import csv
import io
from dataclasses import dataclass

from chaos.files import File

Row = tuple[int, str, int, str]


@dataclass(frozen=True)
class Entry:
    """A row of the ledger, as far as the model looks at it."""

    status: str
    error_code: str | None
    rows_loaded: int | None
    updated: float


def rows(file: File) -> list[Row]:
    """The rows of a file's CSV."""
    return [
        (int(record[0]), record[1], int(record[2]), record[3]) for record in list(csv.reader(io.StringIO(file.csv.decode("utf-8"))))[1:]
    ]
