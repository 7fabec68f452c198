import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decryptor import download
from decryptor.download import CHUNK, Source
from decryptor.settings import DecryptorSettings


class Noting(io.BytesIO):
    """A body that notes how much it is asked for, and gives at most `most` at once, as a socket may."""

    def __init__(self, data: bytes, most: int = CHUNK) -> None:
        super().__init__(data)
        self.most = most
        self.asked: list[int | None] = []

    def read(self, size: int | None = -1, /) -> bytes:
        self.asked.append(size)
        return super().read(min(size or 0, self.most))


@given(
    data=st.binary(max_size=300),
    most=st.integers(min_value=1, max_value=50),
    steps=st.lists(st.tuples(st.booleans(), st.integers(min_value=1, max_value=100)), max_size=20),
)
def test_a_source_gives_the_bytes_in_order_whatever_is_peeked(data: bytes, most: int, steps: list[tuple[bool, int]]) -> None:
    source, position = Source(Noting(data, most)), 0
    for peek, size in steps:
        if peek:
            assert source.peek(size) == data[position : position + size]
        else:
            piece = source.read(size)
            assert data[position:].startswith(piece)
            assert len(piece) <= size
            assert piece or position == len(data)
            position += len(piece)
    source.drain()
    assert (source.size, source.sha256) == (len(data), hashlib.sha256(data).digest())


def test_small_reads_become_large_ones() -> None:
    body = Noting(bytes(CHUNK * 2))
    source = Source(body)
    while source.read(8192):
        pass
    assert body.asked == [CHUNK] * 3


def test_waiting_for_s3_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "ap-northeast-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-1")
    settings = DecryptorSettings.model_validate(
        {"redis_url": "redis://", "spool_dir": tmp_path, "datasets": tmp_path, "identities_dir": tmp_path, "s3_attempts": 4}
    )
    client = download.connect(settings)
    config = client.meta.config  # type: ignore[attr-defined]
    assert (config.connect_timeout, config.read_timeout) == (5, 30)
    assert config.retries == {"mode": "standard", "total_max_attempts": 4}
