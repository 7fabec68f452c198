from collections.abc import Iterator

import pytest
from host import ENGINE, Host, run


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The whole of docker-compose.yml, built and up, LocalStack in AWS's place; taken down with its volumes at the end."""
    if run("docker", "info", check=False).returncode:
        pytest.fail(ENGINE)
    folder = tmp_path_factory.mktemp("host")
    host = Host(folder)
    try:
        host.compose("build")
        host.compose("up", "--detach", "--wait", "--wait-timeout", "300")
        yield host
    finally:
        host.compose("down", "--volumes", "--timeout", "60")
