"""Follows datasets.toml while the service runs: an edit holds from the next file on, a broken edit changes nothing."""

from pathlib import Path

from shared.datasets import Datasets, DatasetsError, parse
from shared.datasets_problems import Problem
from shared.logging import get_logger

State = tuple[int, int, int]
"""What tells that a file changed: mtime in ns, size, inode."""


def parse_file(path: Path) -> Datasets:
    """Parse a datasets.toml.

    Raises:
        DatasetsError: it can't be read or understood. All that is wrong with it is told, and its path.
    """
    text = read_text(path)
    try:
        return parse(text)
    except DatasetsError as error:
        raise DatasetsError(error.problems, str(path)) from None


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        DatasetsError: it can't be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DatasetsError([Problem(0, "", error.strerror or "can't be read")], str(path)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DatasetsError([Problem(line, "", "this is no UTF-8, which TOML is written in")], str(path)) from None


class DatasetsFile:
    """The datasets as the file says now. Asking costs one stat, so that every file is loaded by what holds when it comes.

    Args:
        path: of datasets.toml. It need not exist: without it, every dataset goes by convention.

    Raises:
        DatasetsError: it can't be read or understood. At start there is no last good one to go on with.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._state()
        self._good = parse("") if self._seen is None else self._read()

    def current(self) -> Datasets:
        """The newest datasets that could be understood. A file that vanished counts as a broken edit."""
        state = self._state()
        if state != self._seen:
            self._seen = state
            self._reload()
        return self._good

    def _reload(self) -> None:
        try:
            self._good = self._read()
        except DatasetsError as error:
            problems = [str(problem) for problem in error.problems]
            get_logger().error("datasets_kept", action="datasets", path=str(self._path), problems=problems)
        else:
            get_logger().info("datasets_read", action="datasets", path=str(self._path), datasets=len(self._good.entries))

    def _read(self) -> Datasets:
        return parse_file(self._path)

    def _state(self) -> State | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError:
            # Unreadable for now: its own state, so that _read says why, once.
            return (-1, -1, -1)
        return (found.st_mtime_ns, found.st_size, found.st_ino)
