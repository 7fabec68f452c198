"""How a sealed file gets into S3 by the sender's own credentials."""

import _thread
import io
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from fakes.bucket import Bucket
from fakes.s3 import client_error
from hikyaku.errors import UserError
from hikyaku.sending.upload import AlreadyThereError, S3Upload


def put(bucket: Bucket, **how: Any) -> str:
    uploading = S3Upload(cast("Any", bucket), **how)
    return uploading.put(io.BytesIO(b"x"), "acme-in", "incoming/a/b.csv.gz.age", metadata={}, progress=lambda _: None)


def test_the_version_is_what_the_last_call_told() -> None:
    bucket = Bucket()
    assert [put(bucket), put(bucket)] == ["v1", "v2"]
    assert not any(bucket.hooks.values()), "nothing stays registered"


def test_replace_and_key_are_said_only_when_asked_for() -> None:
    bucket = Bucket()
    put(bucket)
    put(bucket, replace=False, kms_key="arn:aws:kms:x")
    plain, asked = (params for _, _, params in bucket.got)
    assert plain.keys() == {"Bucket", "Key"}
    assert (asked["IfNoneMatch"], asked["ServerSideEncryption"], asked["SSEKMSKeyId"]) == ("*", "aws:kms", "arn:aws:kms:x")


def test_what_is_there_already_is_told_apart() -> None:
    with pytest.raises(AlreadyThereError):
        put(Bucket(client_error("PreconditionFailed")), replace=False)
    with pytest.raises(UserError, match="was not sent"):
        put(Bucket(client_error("AccessDenied")))


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """Ctrl-C as seen from a thread of the upload: no wait of the main thread ends by it. Returns when it was heard."""
    heard = threading.Event()

    def hear(*_: object) -> None:
        heard.set()
        raise KeyboardInterrupt

    def press() -> None:
        _thread.interrupt_main()
        assert heard.wait(10), "the upload goes on, and nobody hears"

    before = signal.signal(signal.SIGINT, hear)
    yield press
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("error", "said"), [(client_error("SlowDown"), "nothing of .* was left behind"), (None, "had arrived whole")])
def test_ctrl_c_ends_with_130_and_says_what_is_there(interrupt: Callable[[], None], error: Exception | None, said: str) -> None:
    bucket = Bucket(error)
    bucket.before = interrupt
    with pytest.raises(UserError, match=said) as caught:
        put(bucket)
    assert caught.value.exit_code == 130
