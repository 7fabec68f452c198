"""Reads datasets.toml, and follows it while the service runs."""

from pathlib import Path

from shared.datasets import Datasets, DatasetsError, parse
from shared.datasets_problems import Problem
from shared.followed_file import FollowedFile


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


class DatasetsFile(FollowedFile[Datasets]):
    """The datasets as the file says now.

    Args:
        path: of datasets.toml. It need not exist: without it, every dataset goes by convention.

    Raises:
        DatasetsError: it can't be read or understood. At start there is no last good one to go on with.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "datasets", parse_file, parse(""), lambda datasets: datasets.entries)
