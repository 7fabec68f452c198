"""Writing to the spool: a file appears there whole and authentic, or not at all.

Each attempt holds a lock (flock) on its partial file while it lives, so a sweep of any worker on this host tells a dead
attempt's remains from a live one's file, whatever process ids its container sees.
"""

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from decryptor import caps
from shared import spool
from shared.errors import CourierError, ErrorCode, Rejected, Retryable
from shared.logging import get_logger

BUFFER = 256 * 1024


class Attempt:
    """One attempt's partial file: the sink that pyrage writes to, and the way to publish it."""

    def __init__(self, file: BinaryIO, partial: Path, published: Path) -> None:
        self._file = file
        self._partial = partial
        self._published = published
        self._size = 0

    def write(self, data: bytes) -> int:
        """Append authenticated plaintext.

        Raises:
            Retryable: `spool_unavailable`, the spool is full or broken.
            Rejected: `too_large`, the file does not fit even an empty spool.
        """
        self._size += len(data)
        with _spool_errors(self._failure):
            return self._file.write(data)

    def publish(self) -> None:
        """Give the file its published name, replacing an earlier attempt's. No fsync: the spool is a tmpfs.

        Raises:
            Retryable: `spool_unavailable`.
            Rejected: `too_large`, as `write`.
        """
        with _spool_errors(self._failure):
            self._file.flush()
            self._partial.replace(self._published)

    def _failure(self, error: OSError) -> CourierError:
        room = caps.room(self._partial.parent) if error.errno == errno.ENOSPC else 0
        if not room or self._size <= room:
            return _unavailable(error)
        return Rejected(
            ErrorCode.TOO_LARGE, f"the decrypted file is larger than the whole spool, {room} bytes: make it larger (HIKYAKU_SPOOL_SIZE)"
        )


@contextmanager
def attempt(spool_dir: Path, file_id: str) -> Iterator[Attempt]:
    """A partial file of this attempt's own, gone at the end in every case: published, or removed.

    What a killed attempt at the same file has left is removed first: its room may be needed now.

    Raises:
        Retryable: `spool_unavailable`.
    """
    partial = spool.partial(spool_dir, file_id, secrets.token_hex(8))
    with _spool_errors():
        _remove([path for path in spool_dir.glob(f".{file_id}.*.part") if _is_dead(path)])
        file = _create(partial)
    try:
        yield Attempt(file, partial, spool.published(spool_dir, file_id))
    finally:
        partial.unlink(missing_ok=True)
        _discard(file)


def _create(partial: Path) -> BinaryIO:
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    # A sweep that came between creation and lock leaves a file without a name; publishing it fails as spool_unavailable.
    return os.fdopen(descriptor, "wb", buffering=BUFFER)


def _discard(file: BinaryIO) -> None:
    """Close without caring for what was still buffered: what matters was flushed by `publish`."""
    try:
        file.close()
    except OSError as error:
        get_logger().warning("partial_not_closed", action="spool", reason=error.strerror)


def _unavailable(error: OSError) -> CourierError:
    return Retryable(ErrorCode.SPOOL_UNAVAILABLE, f"the spool can't be written: {error.strerror}")


@contextmanager
def _spool_errors(meaning: Callable[[OSError], CourierError] = _unavailable) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise meaning(error) from error


def sweep(spool_dir: Path, max_age: float) -> int:
    """Remove dead attempts' partial files, and published ones untouched for more than `max_age` seconds.

    Returns:
        How many files were removed.
    """
    now = time.time()
    dead = [path for path in spool_dir.glob(".*.part") if _is_dead(path)]
    left = [path for path in spool_dir.glob("*.csv.gz") if _age(path, now) > max_age]
    return _remove([*dead, *left])


def _remove(paths: list[Path]) -> int:
    for path in paths:
        path.unlink(missing_ok=True)
        get_logger().warning("spool_swept", action="sweep", name=path.name)
    return len(paths)


def _is_dead(partial: Path) -> bool:
    """Whether no attempt holds the file any more."""
    try:
        with partial.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return False
    return True


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
