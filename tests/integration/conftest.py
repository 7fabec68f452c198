"""One real world for the session: LocalStack, PostgreSQL, Redis and the services as processes, in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from line import Line, Start

UP_TIMEOUT_S = 600


def _local(verb: str, folder: Path, environment: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "hikyaku", "local", verb, "--dir", str(folder)],
        check=True,
        timeout=UP_TIMEOUT_S,
        env=os.environ | environment,
    )


@pytest.fixture(scope="session")
def start_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a stack of its own with some settings; all are stopped at the end."""
    folders: list[Path] = []

    def start(**settings: str) -> Line:
        folder = tmp_path_factory.mktemp("stack")
        folders.append(folder)
        _local("up", folder, settings)
        return Line(folder)

    yield start
    for folder in folders:
        _local("down", folder, {})


@pytest.fixture(scope="session")
def shared_line(start_stack: Start) -> Line:
    return start_stack()


@pytest.fixture
def line(shared_line: Line) -> Iterator[Line]:
    """The session's stack; each test uses a dataset of its own and leaves the queues empty."""
    shared_line.reconnect()
    yield shared_line
    shared_line.purge_dead_letters()
