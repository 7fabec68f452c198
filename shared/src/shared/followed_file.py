"""Follows a file while the service runs: an edit holds from the next look on, a broken edit changes nothing and is told once."""

from collections.abc import Callable, Sized
from pathlib import Path
from typing import Generic, TypeVar

from shared.logging import get_logger

Content = TypeVar("Content")
State = tuple[int, int, int]
"""What tells that a file changed: mtime in ns, size, inode."""


class BrokenFileError(Exception):
    """A file can't be used as it is.

    Attributes:
        problems: all that is wrong with it.
    """

    problems: tuple[object, ...]


class FollowedFile(Generic[Content]):
    """What a file says now. Asking costs one stat, so that every file of data meets what holds when it comes.

    Args:
        path: it need not exist; None never does.
        name: of what it holds, for the log.
        read: raises BrokenFileError.
        absent: what holds without it.
        entries: of what it holds, to be counted in the log.

    Raises:
        BrokenFileError: it can't be used. At start there is no last good one to go on with.
    """

    def __init__(
        self, path: Path | None, name: str, read: Callable[[Path], Content], absent: Content, entries: Callable[[Content], Sized]
    ) -> None:
        self._path = path
        self._name = name
        self._read = read
        self._entries = entries
        self._seen = self._state()
        self._good = absent if path is None or self._seen is None else read(path)

    def current(self) -> Content:
        """The newest that could be used. A file that vanished counts as a broken edit."""
        state = self._state()
        if state != self._seen:
            self._seen = state
            self._reload()
        return self._good

    def _reload(self) -> None:
        assert self._path is not None, "what does not exist does not change"  # noqa: S101 - for the type checker
        about = {"action": self._name, "path": str(self._path)}
        try:
            self._good = self._read(self._path)
        except BrokenFileError as error:
            get_logger().error(f"{self._name}_kept", **about, problems=[str(problem) for problem in error.problems])
        else:
            self._tell(self._good)

    def _tell(self, content: Content) -> None:
        """Log that this holds from now on."""
        about = {"action": self._name, "path": str(self._path)}
        get_logger().info(f"{self._name}_read", **about, **{self._name: len(self._entries(content))})

    def _state(self) -> State | None:
        try:
            found = self._path.stat() if self._path else None
        except FileNotFoundError:
            return None
        except OSError:
            # Unreadable for now: its own state, so that reading it says why, once.
            return (-1, -1, -1)
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
