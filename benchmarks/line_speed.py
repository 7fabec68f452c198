"""How fast the line carries files, beside a plain loop in the same run: `make bench`.

Both take the same files from the same LocalStack into the same PostgreSQL. Figures are printed, never asserted.
"""

import argparse
import contextlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import plain_loop
import pyrage
from line import Line, Put, eventually
from rich.console import Console
from rich.table import Table

SEED = 20261124
COLUMNS = "id int PRIMARY KEY, item text, qty int"
TIMEOUT_S = 600
MB = 1_000_000


def small_files(count: int) -> list[bytes]:
    """CSV files of 100 rows each."""
    source = random.Random(SEED)
    return [
        b"id,item,qty\n" + b"".join(b"%d,%s,%d\n" % (n * 100 + i, source.randbytes(8).hex().encode(), i) for i in range(100))
        for n in range(count)
    ]


def big_file(size: int) -> bytes:
    """One CSV of about `size` bytes."""
    source = random.Random(SEED)
    csv, n = bytearray(b"id,item,qty\n"), 0
    while len(csv) < size:
        n += 1
        csv += b"%d,%s,%d\n" % (n, source.randbytes(16).hex().encode(), n % 1000)
    return bytes(csv)


def put_all(line: Line, table: str, files: list[bytes]) -> list[Put]:
    """Put files without an event."""
    with line.silence():
        return [line.send(table, csv, name=f"{n:05}") for n, csv in enumerate(files)]


def through_the_line(line: Line, files: list[bytes]) -> float:
    """Seconds from the first announcement to the last committed file."""
    table = line.table(COLUMNS)
    puts = put_all(line, table, files)
    started = time.monotonic()
    for put in puts:
        line.announce(put)
    loaded = "SELECT count(*) AS n FROM hikyaku.files WHERE dataset = %s AND status = 'loaded'"
    eventually(lambda: line.sql(loaded, table)[0]["n"] == len(puts), what="all are loaded", timeout=TIMEOUT_S)
    return time.monotonic() - started


def through_the_loop(line: Line, files: list[bytes], identity: pyrage.x25519.Identity) -> float:
    """The same with the plain loop, which gets a queue of its own."""
    table = line.table(COLUMNS)
    puts = put_all(line, table, files)
    with own_queue(line) as queue_url:
        started = time.monotonic()
        for put in puts:
            line.announce(put, queue_url=queue_url)
        plain_loop.run(line, queue_url, identity, table, len(puts))
        return time.monotonic() - started


@contextlib.contextmanager
def own_queue(line: Line) -> Iterator[str]:
    """A queue for the peer."""
    url = line.sqs.create_queue(QueueName="plain-loop")["QueueUrl"]
    try:
        yield url
    finally:
        line.sqs.delete_queue(QueueUrl=url)


def main() -> None:
    """Run on a stack that is up: its folder is the argument."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack", type=Path, help="folder of a stack that is up")
    parser.add_argument("--files", type=int, default=300, help="small files, 300 unless told")
    parser.add_argument("--big-mb", type=int, default=100, help="size of the big file, 100 MB unless told")
    arguments = parser.parse_args()
    line = Line(arguments.stack)
    identity_file = next((arguments.stack / "secrets" / "identities").glob("*.txt"))
    key = next(row for row in identity_file.read_text(encoding="ascii").splitlines() if row.startswith("AGE-SECRET-KEY-"))
    identity = pyrage.x25519.Identity.from_str(key)
    through_the_line(line, small_files(5))  # connections and clients are made
    table = Table("load", "hikyaku", "plain loop", "ratio", title=f"seed {SEED}")
    cases: list[tuple[list[bytes], str, Callable[[float], str]]] = [
        (small_files(arguments.files), f"{arguments.files} files of 100 rows", lambda s: f"{arguments.files / s:.1f} files/s"),
        ([big_file(arguments.big_mb * MB)], f"one CSV of {arguments.big_mb} MB", lambda s: f"{arguments.big_mb / s:.1f} MB/s"),
    ]
    for files, name, rate in cases:
        ours, theirs = through_the_line(line, files), through_the_loop(line, files, identity)
        table.add_row(name, rate(ours), rate(theirs), f"{theirs / ours:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
