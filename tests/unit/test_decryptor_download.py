import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from decryptor import download
from decryptor.download import CHUNK, Source
from decryptor.settings import DecryptorSettings
from fakes.s3 import FakeS3
from shared.contract import FileRef
from shared.errors import ErrorCode, Rejected, Retryable


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


class TestAnAbsentObject:
    """Whatever its key is, its file alone is rejected: one that passed for an outage of S3 would stop the whole line."""

    @pytest.mark.parametrize("status", [400, 404, 405])
    @pytest.mark.parametrize(("name", "version"), [("\x01", "v"), ("\x1b[31m", "v"), ("\ufffe", "v"), ("a", "v\x01")])
    def test_an_answer_that_repeats_what_xml_lacks_is_understood(self, name: str, version: str, status: int) -> None:
        """botocore then gives the status for the code, as after a HEAD."""
        assert code_of(Answering(str(status), status), file_ref(name, version)) == ErrorCode.OBJECT_MISSING

    @pytest.mark.parametrize("code", ["KeyTooLongError", "InvalidURI", "InvalidArgument"])
    def test_a_key_that_s3_does_not_take_is_no_objects(self, code: str) -> None:
        assert code_of(Answering(code, 400), file_ref("a", "v")) == ErrorCode.OBJECT_MISSING

    @pytest.mark.parametrize(("code", "status"), [("404", 404), ("400", 400), ("NoSuchBucket", 404)])
    def test_an_answer_that_is_not_s3s_is_an_outage_still(self, code: str, status: int) -> None:
        """Of a proxy, say: a plain key gives S3's own answer no reason to be unreadable."""
        with pytest.raises(Retryable):
            download.fetch(Answering(code, status), file_ref("a", "v"), lambda _: None)

    def test_one_that_is_not_s3s_is_an_outage_whatever_the_key_is(self) -> None:
        with pytest.raises(Retryable):
            download.fetch(Answering("503", 503), file_ref("\x01", "v"), lambda _: None)


class Answering(FakeS3):
    """Refuses every GET in one way."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__()
        self.code, self.status = code, status

    def get_object(self, **_: Any) -> dict[str, Any]:
        response: Any = {"Error": {"Code": self.code}, "ResponseMetadata": {"HTTPStatusCode": self.status}}
        raise ClientError(response, "GetObject")


def file_ref(name: str, version: str) -> FileRef:
    key, time = f"incoming/orders/{name}.csv.gz.age", "2026-11-12T00:00:00Z"
    return FileRef(bucket="b", key=key, version_id=version, size=1, event_time=time, received_at=time, message_id="m")


def code_of(s3: FakeS3, file: FileRef) -> str:
    with pytest.raises(Rejected) as caught:
        download.fetch(s3, file, lambda _: None)
    return caught.value.error_code
