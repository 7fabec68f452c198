"""Small files that this user's commands keep on this machine, each a JSON document."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hikyaku.errors import UserError


def state_folder() -> Path:
    """Where they lie: below XDG_STATE_HOME, or ~/.local/state (XDG Base Directory Specification).

    Raises:
        UserError: this user has no home folder, as in a container that runs as a number.
    """
    told = os.environ.get("XDG_STATE_HOME", "")
    # The specification says to ignore one that is relative.
    if told.startswith("/"):
        return Path(told) / "hikyaku"
    try:
        return Path("~/.local/state/hikyaku").expanduser()
    except RuntimeError:
        raise UserError("this user has no home folder.", hint="Set HOME, or XDG_STATE_HOME, to an absolute path.", exit_code=2) from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """No other command reads or writes it meanwhile.

    Raises:
        OSError: nothing can be kept there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write(path: Path, document: Any) -> None:
    """Replace the file whole, on the disk before this returns; nobody else may read it.

    Raises:
        OSError: it can't be written.
    """
    new = path.with_suffix(".new")
    private = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(private, "w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, indent=2)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
