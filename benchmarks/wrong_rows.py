"""What a file with wrong records costs, beside the same file without, in the same run: `make bench`. Figures are printed, never asserted.

At the loader's desk (spool file in, ledger row out), on the PostgreSQL of the tests.
"""

import argparse
import gzip
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from integration import loader_fixture, postgres_fixture

TABLE = "t (id bigint PRIMARY KEY, name text NOT NULL, day date, amount numeric(12,2), n int, note text)"
HEAD = b"id,name,day,amount,n,note\n"
EVERY = 1000
"""One record in so many is wrong."""


FIRST = 7


def good(i: int) -> bytes:
    """A record."""
    return b"%d,name %d,2026-01-%02d,%d.50,%d,some text here %d\n" % (i, i, 1 + i % 28, i, i % 1000, i)


def no_day(i: int) -> bytes:
    """One with a day that does not exist."""
    return b"%d,name %d,2026-13-01,1.50,1,x\n" % (i, i)


def of_four_kinds(i: int) -> bytes:
    """One that is wrong in one of four ways."""
    return (no_day(i), b"%d,name,2026-01-01,1.50,1\n" % i, b"%d,,2026-01-01,1.50,1,x\n" % i, b"%d,name,2026-01-01,1.50,x,x\n" % i)[
        i // EVERY % 4
    ]


def file(rows: int, wrong: Callable[[int], bytes]) -> bytes:
    """A packed file."""
    return gzip.compress(HEAD + b"".join(wrong(i) if i % EVERY == FIRST else good(i) for i in range(rows)), 1)


def main() -> None:
    """Load each kind of file twice, print the better time and its ratio to the clean file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    rows = parser.parse_args().rows
    files = {"clean": file(rows, good), "0.1 % wrong values": file(rows, no_day), "0.1 % of four kinds": file(rows, of_four_kinds)}
    table = Table("PostgreSQL", "file", "s", "× clean", "inserted", "put aside", title=f"{rows:,} rows, the better of two")
    for install in (postgres_fixture.NEW, postgres_fixture.OLD):
        with postgres_fixture.running(install) as server, tempfile.TemporaryDirectory() as folder:
            database = postgres_fixture.new_database(server)
            with database.connect() as connection:
                desk = loader_fixture.Desk(database, Path(folder), connection)
                version = str(connection.info.server_version // 10000)
                clean = 0.0
                for name, packed in files.items():
                    took, ledger = min((load(desk, packed) for _ in range(2)), key=lambda pair: pair[0])
                    clean = clean or took
                    counts = (f"{ledger['rows_inserted']:,}", f"{ledger['rows_rejected']:,}")
                    table.add_row(version, name, f"{took:.1f}", f"{took / clean:.2f}", *counts)
    Console().print(table)


def load(desk: loader_fixture.Desk, packed: bytes) -> tuple[float, dict[str, int]]:
    """Seconds, and the ledger's row."""
    desk.table(TABLE)
    desk.configure('[datasets.t]\nmax_rejected_rows = 0.01\non_duplicate_content = "load"\n')
    key = f"incoming/t/{time.monotonic_ns()}.csv.gz.age"
    begin = time.perf_counter()
    settlement = desk.send(key, packed, packed=True)
    return time.perf_counter() - begin, desk.ledger(settlement)


if __name__ == "__main__":
    main()
