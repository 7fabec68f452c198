from pathlib import Path

import pytest

from fakes.gate import Gate
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
