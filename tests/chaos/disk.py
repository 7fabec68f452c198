"""A full disk for PostgreSQL's tables, and for nobody else: a library inside this run's PostgreSQL lets no file grow."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from chaos import wiring
from chaos.stack import Stack, eventually

SOURCE = Path(__file__).with_name("disk_full.c")
COMPILER = "cc"
COMPILE_TIMEOUT_S = 60


def can_be_full() -> bool:
    """Whether this host has what it takes: a C compiler."""
    return shutil.which(COMPILER) is not None


def install(stack: Stack) -> None:
    """Build the library and let PostgreSQL load it from its next start on."""
    library = stack.folder / "disk_full.so"
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, timeout=COMPILE_TIMEOUT_S)
    library.chmod(0o755)
    wiring.give(stack, "postgres", {"LD_PRELOAD": str(library), "CHAOS_DISK_FULL": str(_flag(stack))})


@contextmanager
def full(stack: Stack) -> Iterator[None]:
    """While the context lasts, the disk is full."""
    _flag(stack).touch()
    try:
        yield
    finally:
        _flag(stack).unlink()


def prove(stack: Stack) -> None:
    """See the disk full, lest the outage be none.

    Raises:
        GaveUpError: PostgreSQL still makes tables.
    """
    with full(stack):
        eventually(lambda: _is_full(stack), "PostgreSQL is told that its disk is full")


def _is_full(stack: Stack) -> bool:
    try:
        with stack.database() as connection:
            connection.execute("CREATE TEMPORARY TABLE proof AS SELECT 1 AS it")
    except psycopg.errors.DiskFull:
        return True
    except psycopg.OperationalError:
        return False
    return False


def _flag(stack: Stack) -> Path:
    return stack.folder / "disk-is-full"
