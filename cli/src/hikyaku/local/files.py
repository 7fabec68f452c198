"""Files written whole or not at all, private by default."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700


def write_atomically(path: Path, text: str, mode: int = PRIVATE_FILE) -> bool:
    """Replace the content of `path` in one step; leave it alone when it is the same already.

    Returns:
        Whether anything was written.
    """
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True


def read_or_create(path: Path, make: Callable[[], str]) -> str:
    """Content of a secret's file, made by `make` and kept when there is none yet."""
    if not path.exists():
        private_directory(path.parent)
        write_atomically(path, make())
    return path.read_text(encoding="utf-8").rstrip("\n")


def private_directory(path: Path) -> Path:
    """Make a folder that only its owner may enter."""
    path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    path.chmod(PRIVATE_DIRECTORY)
    return path
