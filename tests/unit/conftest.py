from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fakes.gate import Gate
from fakes.gpg import People, people
from fakes.gpg_gate import GpgGate
from fakes.senders import make_key


@pytest.fixture(autouse=True)
def aws_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every service that talks to AWS needs one; no test reaches it."""
    monkeypatch.setenv("AWS_REGION", "ap-northeast-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-1")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Senders' private keys by name."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder / name, kind) for name, kind in (("acme", "ed25519"), ("stranger", "ed25519"), ("rsa", "rsa"))}


@pytest.fixture
def gate(tmp_path: Path, keys: dict[str, Path]) -> Gate:
    """A decryptor that knows acme's key."""
    return Gate(tmp_path, keys)


@pytest.fixture(scope="session")
def gpg_people() -> Iterator[People]:
    """A host with an OpenPGP key, and senders."""
    with people() as everybody:
        yield everybody


@pytest.fixture
def place() -> Iterator[Path]:
    """Where gpg's homes are made: on a short path, for the sockets."""
    with TemporaryDirectory(prefix="gpg-") as folder:
        yield Path(folder)


@pytest.fixture
def gpg_gate(tmp_path: Path, place: Path, gpg_people: People) -> GpgGate:
    """A decryptor that opens OpenPGP files and knows acme's key."""
    return GpgGate(tmp_path, place, gpg_people)
