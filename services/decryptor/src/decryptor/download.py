"""Fetching one object version, and reading its body as a stream."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote

import boto3
import urllib3
from botocore import exceptions as boto
from botocore.config import Config

from decryptor.settings import DecryptorSettings
from shared.contract import FileRef
from shared.errors import ErrorCode, Rejected, Retryable

PAUSES_S = (0.5, 1.0)
"""Waits before the second and the third look for a missing object. S3 is strongly consistent, so more would not help."""
MISSING = {
    *(("NoSuchKey", 404), ("NoSuchVersion", 404), ("MethodNotAllowed", 405)),
    *(("InvalidArgument", 400), ("KeyTooLongError", 400), ("InvalidURI", 400)),
}
"""How S3 says that there is no such version: 405 for a delete marker, 400 for an id that never was a version's, or a key no object's."""
UNREADABLE = {("404", 404), ("405", 405), ("400", 400)}
"""The same where its answer repeats a character that XML does not have: botocore can't read it, and the status stands for the code."""
NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Extensible Markup Language (XML) 1.0, section 2.2."""
FORBIDDEN = 403
CHUNK = 256 * 1024
"""Bytes read from the network at once; pyrage asks for 8 KiB at a time."""
TRANSPORT = (boto.HTTPClientError, boto.ConnectionError, boto.IncompleteReadError, urllib3.exceptions.HTTPError, OSError)
CREDENTIALS = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)


class Body(Protocol):
    """What we use of botocore's StreamingBody."""

    def read(self, amt: int, /) -> bytes:
        """At most `amt` bytes, none at the end."""

    def close(self) -> None:
        """Drop the connection if bytes are left."""


class S3(Protocol):
    """What we use of boto3's S3 client."""

    def get_object(self, **request: Any) -> dict[str, Any]:
        """GetObject, Amazon S3 API Reference."""

    def head_object(self, **request: Any) -> dict[str, Any]:
        """HeadObject."""

    def put_object(self, **request: Any) -> dict[str, Any]:
        """PutObject."""

    def delete_object(self, **request: Any) -> dict[str, Any]:
        """DeleteObject."""

    def get_object_tagging(self, **request: Any) -> dict[str, Any]:
        """GetObjectTagging."""

    def put_object_tagging(self, **request: Any) -> dict[str, Any]:
        """PutObjectTagging."""


@dataclass(frozen=True, slots=True)
class Download:
    """An object version whose body is still to be read."""

    file: FileRef
    """The event's reference with the key under which S3 knows the object."""
    size: int
    etag: str
    sha256: str | None
    """Base64 SHA-256 that S3 keeps of the whole object, where it has one."""
    body: Body
    metadata: Mapping[str, str] = field(default_factory=dict)
    """As the sender gave it, in the same PUT: anything."""
    missing: int = 0
    """Entries of metadata that S3 could not give as headers."""


def connect(settings: DecryptorSettings) -> S3:
    """An S3 client with bounded waiting. Make it in the process that uses it: connections don't survive a fork."""
    config = Config(
        connect_timeout=settings.s3_connect_timeout,
        read_timeout=settings.s3_read_timeout,
        retries={"mode": "standard", "total_max_attempts": settings.s3_attempts},
    )
    client: Any = boto3.session.Session().client("s3", region_name=settings.aws_region, config=config)
    s3: S3 = client
    return s3


def fetch(s3: S3, file: FileRef, sleep: Callable[[float], None] = time.sleep) -> Download:
    """Ask S3 for the version that the event announced.

    Raises:
        Rejected: `object_missing`.
        Retryable: `storage_unavailable`.
    """
    for pause in (*PAUSES_S, None):
        for key in spellings(file.key):
            response = _get(s3, file, key)
            if response is not None:
                return _download(_spelled(file, key), response)
        if pause is not None:
            sleep(pause)
    raise Rejected(ErrorCode.OBJECT_MISSING, "S3 does not have this version of the object: it was deleted. Send the file again")


def _spelled(file: FileRef, key: str) -> FileRef:
    """The reference under the object's own key; its id stays the one that the poller knows."""
    return file if key == file.key else file.model_copy(update={"key": key, "announced_key": file.key})


def spellings(key: str) -> tuple[str, ...]:
    """The key as given and, should that not exist, percent-decoded: LocalStack's EventBridge events encode keys, AWS's do not.

    Asking for one version makes it impossible to get another object by the second spelling.
    """
    decoded = unquote(key)
    # A NUL is in no key of ours: the ledger could not hold it.
    return (key,) if decoded == key or "\0" in decoded else (key, decoded)


def _get(s3: S3, file: FileRef, key: str) -> dict[str, Any] | None:
    version = {"VersionId": file.s3_version_id} if file.s3_version_id else {}
    try:
        with transport_errors():
            return s3.get_object(Bucket=file.bucket, Key=key, ChecksumMode="ENABLED", **version)
    except boto.ClientError as error:
        if is_missing(error, file, key):
            return None
        raise _unavailable(error) from error


def is_missing(error: boto.ClientError, file: FileRef, key: str) -> bool:
    """Whether S3 says that it does not have this version under this key."""
    told = facts(error)
    return told in MISSING or (told in UNREADABLE and NOT_IN_XML.search(key + file.version_id) is not None)


def facts(error: boto.ClientError) -> tuple[str, int]:
    """S3's error code and the HTTP status; a HEAD's answer has no body, and its code is the status."""
    response: Any = error.response
    return response.get("Error", {}).get("Code", ""), response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _unavailable(error: boto.ClientError) -> Retryable:
    code, status = facts(error)
    if status != FORBIDDEN:
        return Retryable(ErrorCode.STORAGE_UNAVAILABLE, f"S3 answered {status} {code}")
    return Retryable(
        ErrorCode.STORAGE_UNAVAILABLE,
        f"S3 answered 403 {code}: the decryptor needs s3:GetObjectVersion (s3:GetObject without versioning) on the object and "
        "kms:Decrypt on its key; without s3:ListBucket S3 gives this answer for a missing object too",
    )


def _download(file: FileRef, response: dict[str, Any]) -> Download:
    sha256 = response.get("ChecksumSHA256")
    # Of a multipart upload S3 keeps the hash of the parts' hashes, "<base64>-<parts>": it says nothing about the whole.
    whole = sha256 and "-" not in sha256 and response.get("ChecksumType") != "COMPOSITE"
    return Download(
        file=file,
        size=response["ContentLength"],
        etag=response["ETag"].strip('"'),
        sha256=sha256 if whole else None,
        body=response["Body"],
        metadata=response.get("Metadata", {}),
        missing=response.get("MissingMeta", 0),
    )


class Source:
    """Reads a body in large pieces, counts and hashes it, and hands it out in pieces as small as asked for.

    What `read` raises is kept in `failure` too: pyrage swallows it while it reads the age header.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._hash = hashlib.sha256()
        self._chunk = memoryview(b"")
        self.size = 0
        """Bytes received so far."""
        self.failure: BaseException | None = None

    def read(self, size: int) -> bytes:
        """At most `size` bytes, none at the end.

        Raises:
            Retryable: `storage_unavailable`, the connection broke.
            Rejected: `hash_mismatch`, the bytes are not those that S3's checksum is of.
        """
        try:
            if not self._chunk:
                self._chunk = memoryview(self._receive())
            piece, self._chunk = self._chunk[:size], self._chunk[size:]
            return bytes(piece)
        except BaseException as failure:
            self.failure = failure
            raise

    def peek(self, size: int) -> bytes:
        """The next `size` bytes without consuming them, fewer only at the end."""
        ahead = bytes(self._chunk)
        while len(ahead) < size and (chunk := self._receive()):
            ahead += chunk
        self._chunk = memoryview(ahead)
        return ahead[:size]

    def drain(self) -> None:
        """Read what is left, so that all of it is counted and hashed."""
        self._chunk = memoryview(b"")
        while self._receive():
            pass

    @property
    def sha256(self) -> bytes:
        """SHA-256 of what was received so far."""
        return self._hash.digest()

    def _receive(self) -> bytes:
        with transport_errors():
            chunk = self._body.read(CHUNK)
        self.size += len(chunk)
        self._hash.update(chunk)
        return chunk


@contextmanager
def transport_errors() -> Iterator[None]:
    """Make what is no answer of S3's an expected failure.

    Raises:
        Retryable: `storage_unavailable`.
        Rejected: `hash_mismatch`.
    """
    try:
        yield
    except boto.FlexibleChecksumError as error:
        raise Rejected(ErrorCode.HASH_MISMATCH, "the bytes received are not those that S3's checksum is of") from error
    except CREDENTIALS as error:
        raise Retryable(ErrorCode.STORAGE_UNAVAILABLE, f"no AWS credentials: {type(error).__name__}") from error
    except TRANSPORT as error:
        raise Retryable(ErrorCode.STORAGE_UNAVAILABLE, f"the connection to S3 failed: {type(error).__name__}") from error
