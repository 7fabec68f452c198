"""A spooled file as a stream of CSV: inflated, counted against the caps, hashed. Memory does not grow with the file."""

import gzip
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from isal import igzip, igzip_lib

from shared.errors import ErrorCode, Rejected, Retryable

CHUNK = 256 * 1024
"""Bytes handed to COPY at a time: more gains nothing, less costs calls (measured)."""
RATIO_FLOOR = 16 * 1024**2
"""Bytes of CSV that are never taken for a bomb: small files of equal rows compress beyond any ratio."""


class Source:
    """The CSV of one spooled file.

    Any number of gzip members is one stream (RFC 1952, 2.2). Empty members cost only time in proportion to the file's own
    size, so that they need no cap.

    Args:
        path: in the spool.
        max_bytes: of CSV.
        max_ratio: bytes of CSV per byte of gzip.
    """

    def __init__(self, path: Path, max_bytes: int, max_ratio: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_ratio = max_ratio
        self._digest = hashlib.sha256()
        self.size = 0
        self.packed = 0
        """Bytes of its gzip."""

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of what was read so far: of the CSV, once `chunks` has ended."""
        return self._digest.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """Read once, in pieces of at most 256 KiB.

        Raises:
            Rejected: `gzip_invalid` or `too_large`.
            Retryable: `spool_unavailable`, the file is not there (any more).
        """
        packed, self.packed = self._open()
        with packed:
            yield from self._inflated(packed)

    def _open(self) -> tuple[BinaryIO, int]:
        """The gzip, and its bytes."""
        spooled = opened(self._path)
        return spooled, os.fstat(spooled.fileno()).st_size

    def _inflated(self, packed: BinaryIO) -> Iterator[bytes]:
        if not self.packed:
            raise Rejected(ErrorCode.GZIP_INVALID, "the decrypted file is empty, not even a gzip of nothing")
        limit = min(self._max_bytes, max(RATIO_FLOOR, self.packed * self._max_ratio))
        stream = igzip.IGzipFile(fileobj=packed, mode="rb")  # type: ignore[no-untyped-call] # isal annotates only parts of itself
        while chunk := _read(stream):
            self.size += len(chunk)
            if self.size > limit:
                raise Rejected(ErrorCode.TOO_LARGE, f"the CSV is larger than {limit} bytes (max_bytes and max_ratio of the dataset)")
            self._digest.update(chunk)
            yield chunk


def _read(stream: igzip.IGzipFile) -> bytes:
    try:
        chunk: bytes = stream.read(CHUNK)
    except EOFError:
        raise Rejected(ErrorCode.GZIP_INVALID, "the gzip ends too early, or something that is no gzip follows it") from None
    except (gzip.BadGzipFile, igzip_lib.IsalError):  # type: ignore[misc] # isal's stub takes the class for an instance
        raise Rejected(ErrorCode.GZIP_INVALID, "the decrypted file is not gzip, or is damaged") from None
    except OSError as error:
        raise unreadable(error) from None
    return chunk


def opened(path: Path) -> BinaryIO:
    """A spooled file.

    Raises:
        Retryable: `spool_unavailable`.
    """
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise Retryable(ErrorCode.SPOOL_UNAVAILABLE, "the spool no longer holds the file: it will be decrypted again") from None
    except OSError as error:
        raise unreadable(error) from None


def unreadable(error: OSError) -> Retryable:
    """What it means that the spool fails."""
    return Retryable(ErrorCode.SPOOL_UNAVAILABLE, f"the spool can't be read: {error.strerror}")
