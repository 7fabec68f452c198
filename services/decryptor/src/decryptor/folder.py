"""A folder of key files that is followed while the service runs."""

from pathlib import Path

Fingerprint = tuple[tuple[str, int, int, int, int, int], ...]
"""Name, mode, owner, inode, size and mtime (ns) of each file: it changes when the directory does."""


def fingerprint(directory: Path) -> Fingerprint:
    """One stat a file; hidden files and `*.pub` are ignored.

    Raises:
        OSError: it can't be looked at.
    """
    paths = sorted(path for path in directory.iterdir() if not path.name.startswith(".") and path.suffix != ".pub")
    # A file that is removed between the two looks is gone, which is what its remover wanted.
    stats = [(path.name, path.stat()) for path in paths if path.exists()]
    return tuple((name, s.st_mode, s.st_uid, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in stats)
