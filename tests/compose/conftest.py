import os
from collections.abc import Iterator

import host
import pytest
from host import ENGINE, REPORT, Host, run, timed

SERVICES = ("poller", "decryptor", "loader", "migrate", "flower", "cli", "rebuild")


@pytest.fixture(scope="session")
def base_image() -> str:
    """What the images stand on."""
    return os.environ.get("PYTHON_IMAGE", "python:3.13-slim-trixie")


@pytest.fixture(scope="session")
def images() -> None:
    """Every image, built as `make images` builds it."""
    if run("docker", "info", check=False).returncode:
        pytest.fail(ENGINE)
    with timed("images built"):
        run("make", "images", environment={"HIKYAKU_VERSION": host.VERSION})


@pytest.fixture(scope="session")
def laptop(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The whole world in containers, LocalStack in AWS's place: from nothing to healthy by one command."""
    laptop = Host(tmp_path_factory.mktemp("laptop"), "hikyaku-laptop", "local")
    try:
        with timed("`docker compose --profile local up -d --wait`, from nothing to all healthy"):
            laptop.compose("up", "-d", "--wait", "--wait-timeout", "300")
        yield laptop
    finally:
        laptop.down()


@pytest.fixture(scope="module")
def server(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """An on-prem host before its first start: the project's files, nothing else."""
    server = Host(tmp_path_factory.mktemp("server"), "hikyaku-server")
    try:
        yield server
    finally:
        server.down()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in REPORT:
        terminalreporter.write_line(line)
