"""What is too large to be fetched at all, by the size that its event tells; `verify.announced` compares it with the object's own."""

import os
from pathlib import Path

from shared.contract import FileRef
from shared.datasets_file import DatasetsFile
from shared.errors import ErrorCode, Rejected

MIB = 1024**2
SLACK = 2
"""An object may be so many times larger than its dataset's CSV, and `FLOOR` more: gzip and encryption can make small pieces larger."""
FLOOR = MIB
OVERHEAD = 1000
"""Of so many bytes that age writes, one or less is no plaintext: a tag of 16 in each 64 KiB. Its header comes on top."""
HEADER = 64 * 1024
AGE = ".age"
SENT_OTHERWISE = "send it in several files, or"


def room(spool_dir: Path) -> int:
    """Bytes that the empty spool holds; 0 where the file system has no such bound, or can't be asked: writing to it will tell."""
    try:
        told = os.statvfs(spool_dir)
    except OSError:
        return 0
    return told.f_blocks * told.f_frsize


class Caps:
    """The bounds on an object's size.

    Args:
        spool_dir: a file must fit there.
        datasets: say how large a CSV may be.
        max_file_bytes: of any object; None for no such bound.
    """

    def __init__(self, spool_dir: Path, datasets: DatasetsFile, max_file_bytes: int | None = None) -> None:
        self._spool_dir = spool_dir
        self._datasets = datasets
        self._max_file_bytes = max_file_bytes

    def admit(self, file: FileRef) -> None:
        """Let a file pass that is not too large.

        Raises:
            Rejected: `too_large`, with the bound and how to raise it; `dataset_invalid`, the key belongs to no dataset.
        """
        if self._max_file_bytes is not None and file.size > self._max_file_bytes:
            raise _too_large(file, f"HIKYAKU_MAX_FILE_BYTES allows {self._max_file_bytes}: {SENT_OTHERWISE} raise it")
        dataset = self._datasets.current().of(file.key)
        if file.size > dataset.max_bytes * SLACK + FLOOR:
            raise _too_large(file, f"the CSV of dataset {dataset.name} may have {dataset.max_bytes} (max_bytes): {SENT_OTHERWISE} raise it")
        self._fit(file)

    def _fit(self, file: FileRef) -> None:
        size = room(self._spool_dir)
        # Of OpenPGP nobody knows before: it may be armored, or packed.
        if size and file.key.endswith(AGE) and file.size - file.size // OVERHEAD - HEADER > size:
            raise _too_large(file, f"the whole spool holds {size}: {SENT_OTHERWISE} make it larger (HIKYAKU_SPOOL_SIZE)")


def anything(file: FileRef) -> None:
    """No bound at all."""


def _too_large(file: FileRef, why: str) -> Rejected:
    return Rejected(ErrorCode.TOO_LARGE, f"the object has {file.size} bytes, and {why} and redrive it")
