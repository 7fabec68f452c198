"""Puts one sealed file in S3 with the sender's own credentials."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import IO, TYPE_CHECKING, Any, Protocol

import boto3
from boto3.s3.transfer import ProgressCallbackInvoker, TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.subscribers import BaseSubscriber

from hikyaku.errors import UserError

if TYPE_CHECKING:
    from s3transfer.futures import TransferFuture
    from types_boto3_s3 import S3Client

MIB = 1024 * 1024
TRANSFER = TransferConfig(multipart_threshold=64 * MIB, multipart_chunksize=16 * MIB, max_concurrency=4)
LAST_CALLS = ("PutObject", "CompleteMultipartUpload")
"""Whose answer says that the object is there, and as which version."""
INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended: 128 and the signal's number."""


LOOK_UP_S = 0.2
"""How long one wait for an upload is at most, before it looks for Ctrl-C."""


class AlreadyThereError(Exception):
    """S3 has an object of this key, and was asked not to put another over it."""


class Upload(Protocol):
    """Puts one object. A presigned URL does it too."""

    def put(self, ciphertext: IO[bytes], bucket: str, key: str, *, metadata: dict[str, str], progress: Callable[[int], object]) -> str:
        """Put it whole, or not at all.

        Args:
            ciphertext: from its start.
            bucket: where to.
            key: of the object.
            metadata: the object's, without `x-amz-meta-`.
            progress: told the bytes as they go.

        Returns:
            The object's version, empty where S3 does not tell.
        """
        ...


def s3_client() -> "S3Client":
    """S3 by the standard AWS settings (AWS_PROFILE, AWS_ENDPOINT_URL, …); the SDK alone would not read AWS_REGION."""
    return boto3.client(
        "s3",
        region_name=os.environ.get("AWS_REGION"),
        config=Config(signature_version="s3v4", retries={"mode": "standard", "max_attempts": 5}, s3={"addressing_style": "auto"}),
    )


class _Ended(BaseSubscriber):
    def __init__(self) -> None:
        self.event = Event()

    def on_done(self, future: "TransferFuture", **_: Any) -> None:
        del future
        self.event.set()


@dataclass(frozen=True, slots=True)
class S3Upload:
    """One PUT, or above 64 MiB an upload in parts, whose parts are tried again one by one; what fails is taken back.

    Attributes:
        s3: the client; not used elsewhere meanwhile.
        replace: whether to put a new version where the key exists.
        kms_key: of the object's encryption; empty for the bucket's default.
    """

    s3: "S3Client"
    replace: bool = True
    kms_key: str = ""

    def put(self, ciphertext: IO[bytes], bucket: str, key: str, *, metadata: dict[str, str], progress: Callable[[int], object]) -> str:
        """Put it whole, or not at all.

        Raises:
            AlreadyThereError: the key exists, and is not to be replaced.
            UserError: S3 said no, or somebody pressed Ctrl-C.
        """
        extra: dict[str, Any] = {"Metadata": metadata} if metadata else {}
        if self.kms_key:
            extra |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key}
        with self._watched() as versions:
            try:
                self._transfer(ciphertext, bucket, key, extra, progress)
            except (ClientError, BotoCoreError) as error:
                raise _refused(error, bucket, key) from None
            except KeyboardInterrupt:
                raise _interrupted(bucket, key, arrived=bool(versions)) from None
        return versions[-1] if versions else ""

    def _transfer(self, ciphertext: IO[bytes], bucket: str, key: str, extra: dict[str, Any], progress: Callable[[int], object]) -> None:
        # boto3's upload_fileobj waits without an end: a Ctrl-C that comes just before that wait is seen only when the whole file is sent.
        ended = _Ended()
        with create_transfer_manager(self.s3, TRANSFER) as manager:
            transfer = manager.upload(ciphertext, bucket, key, extra_args=extra, subscribers=[ProgressCallbackInvoker(progress), ended])
            while not ended.event.wait(LOOK_UP_S):
                pass
            transfer.result()

    @contextmanager
    def _watched(self) -> Iterator[list[str]]:
        # The transfer manager neither hands the version on nor knows If-None-Match.
        versions: list[str] = []

        def note(parsed: dict[str, Any], **_: Any) -> None:
            if "ETag" in parsed:
                versions.append(parsed.get("VersionId", ""))

        def only_new(params: dict[str, Any], **_: Any) -> None:
            params["IfNoneMatch"] = "*"

        hooks: list[tuple[str, Callable[..., None]]] = [("after-call.s3", note)]
        if not self.replace:
            hooks.append(("provide-client-params.s3", only_new))
        named = [(f"{event}.{call}", hook) for event, hook in hooks for call in LAST_CALLS]
        for event, hook in named:
            self.s3.meta.events.register(event, hook)
        try:
            yield versions
        finally:
            for event, hook in named:
                self.s3.meta.events.unregister(event, hook)


@dataclass(frozen=True, slots=True)
class DryRun:
    """Sends nothing."""

    def put(self, ciphertext: IO[bytes], bucket: str, key: str, *, metadata: dict[str, str], progress: Callable[[int], object]) -> str:
        """Nothing."""
        del ciphertext, bucket, key, metadata, progress
        return ""


def _refused(error: Exception, bucket: str, key: str) -> Exception:
    if isinstance(error, ClientError) and error.response["Error"]["Code"] in {"PreconditionFailed", "ConditionalRequestConflict"}:
        return AlreadyThereError(key)
    return UserError(f"s3://{bucket}/{key} was not sent: {error}", hint="Check the credentials, the bucket and --to.")


def _interrupted(bucket: str, key: str, *, arrived: bool) -> UserError:
    if arrived:
        return UserError(f"interrupted; s3://{bucket}/{key} had arrived whole already.", exit_code=INTERRUPTED)
    return UserError(f"interrupted; nothing of s3://{bucket}/{key} was left behind.", exit_code=INTERRUPTED)
