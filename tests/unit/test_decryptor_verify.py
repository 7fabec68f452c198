import io

import pytest

from decryptor import verify
from decryptor.download import Download, Source
from fakes.line import file_ref
from fakes.s3 import sha256
from shared.errors import ErrorCode, Rejected

DATA = b"0123456789"


def received(data: bytes, *, size: int = len(DATA), checksum: str | None = None) -> None:
    source = Source(io.BytesIO(data))
    source.drain()
    verify.received(source, Download(file=file_ref(), size=size, etag="", sha256=checksum, body=io.BytesIO()))


def test_the_whole_object_passes() -> None:
    received(DATA, checksum=sha256(DATA))


@pytest.mark.parametrize("data", [DATA[:-1], DATA + b"x", b""])
def test_another_number_of_bytes_is_a_size_mismatch(data: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        received(data)
    assert caught.value.error_code == ErrorCode.SIZE_MISMATCH


def test_other_bytes_are_a_hash_mismatch() -> None:
    with pytest.raises(Rejected) as caught:
        received(DATA[::-1], checksum=sha256(DATA))
    assert caught.value.error_code == ErrorCode.HASH_MISMATCH
