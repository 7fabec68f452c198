"""How a sealed file gets into S3 by the sender's own credentials."""

import io
from typing import Any, cast

import pytest
from boto3.exceptions import S3UploadFailedError

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


def failed(code: str) -> Exception:
    """As boto3 wraps it."""
    error = S3UploadFailedError(code)
    error.__context__ = client_error(code)
    return error


def test_what_is_there_already_is_told_apart() -> None:
    with pytest.raises(AlreadyThereError):
        put(Bucket(failed("PreconditionFailed")), replace=False)
    with pytest.raises(UserError, match="was not sent"):
        put(Bucket(failed("AccessDenied")))


def test_ctrl_c_ends_with_130_and_says_what_is_there() -> None:
    with pytest.raises(UserError, match=r"nothing of .* was left behind") as caught:
        put(Bucket(KeyboardInterrupt()))
    assert caught.value.exit_code == 130
