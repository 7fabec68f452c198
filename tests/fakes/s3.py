"""Amazon S3's objects in a versioned bucket in memory, with boto3's client surface as far as the decryptor uses it.

Answers and errors as in the Amazon S3 API Reference (GetObject, DeleteObject, …, Error responses); the body is botocore's own
StreamingBody over a stand-in for urllib3's response.
"""

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError
from botocore.httpchecksum import Crc32Checksum, StreamingChecksumBody
from botocore.response import StreamingBody

MESSAGES = {
    "AccessDenied": 403,
    "ExpiredToken": 400,
    "InternalError": 500,
    "InvalidArgument": 400,
    "KMS.DisabledException": 400,
    "MethodNotAllowed": 405,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchVersion": 404,
    "NotImplemented": 501,
    "PreconditionFailed": 412,
    "SlowDown": 503,
}


def client_error(code: str) -> ClientError:
    """The exception that boto3 makes of S3's error `code`."""
    response: Any = {
        "Error": {"Code": code, "Message": "as the server words it"},
        "ResponseMetadata": {"HTTPStatusCode": MESSAGES[code], "HTTPHeaders": {}, "RetryAttempts": 0},
    }
    return ClientError(response, "GetObject")


def etag(data: bytes) -> str:
    """ETag of a single PUT without the quotes, as events carry it."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sha256(data: bytes) -> str:
    """SHA-256 as S3 writes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


class Wire(io.BytesIO):
    """urllib3's response: gives `data`, and then whatever `failure` says instead of the end."""

    def __init__(self, data: bytes, failure: BaseException | None = None) -> None:
        super().__init__(data)
        self.failure = failure
        self.given = 0
        """Bytes that were read."""

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes."""
        data = super().read(size)
        self.given += len(data)
        if not data and self.failure is not None:
            raise self.failure
        return data


@dataclass(slots=True)
class Version:
    """One version: None as data is a delete marker. What arrives may differ from what S3 says it sends."""

    data: bytes | None
    size: int
    fields: dict[str, Any]
    crc32: str | None = None
    failure: BaseException | None = None
    wires: list[Wire] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


class FakeS3:
    """One client. `before` is called with each request first: a place to fail, or to note."""

    def __init__(self) -> None:
        self.versions: dict[tuple[str, str, str], Version] = {}
        self.requests: list[dict[str, Any]] = []
        self.before: Callable[[dict[str, Any]], None] | None = None

    def put(self, bucket: str, key: str, version_id: str, data: bytes, **fields: Any) -> Version:
        """Store a version; `fields` are added to the answer."""
        version = Version(data, len(data), {"ETag": f'"{etag(data)}"', "VersionId": version_id} | fields)
        self.versions[bucket, key, version_id] = version
        return version

    def mark_deleted(self, bucket: str, key: str, version_id: str) -> None:
        """Store a delete marker."""
        self.versions[bucket, key, version_id] = Version(None, 0, {})

    def get_object(self, **request: Any) -> dict[str, Any]:
        """GetObject; without VersionId the newest."""
        version = self._asked(request)
        wire = Wire(version.data, version.failure)
        version.wires.append(wire)
        return self._answer(version, wire, checksums=request.get("ChecksumMode") == "ENABLED")

    def head_object(self, **request: Any) -> dict[str, Any]:
        """HeadObject."""
        return dict(self._asked(request).fields)

    def get_object_tagging(self, **request: Any) -> dict[str, Any]:
        """GetObjectTagging."""
        return {"TagSet": [{"Key": key, "Value": value} for key, value in self._asked(request).tags.items()]}

    def put_object_tagging(self, **request: Any) -> dict[str, Any]:
        """PutObjectTagging: these, and no others."""
        self._asked(request).tags = {tag["Key"]: tag["Value"] for tag in request["Tagging"]["TagSet"]}
        return {}

    def put_object(self, **request: Any) -> dict[str, Any]:
        """PutObject, with If-Match and If-None-Match: a new version, of a name of its own."""
        self._note(request)
        bucket, key = request["Bucket"], request["Key"]
        there = [version for name, version in self.versions.items() if name[:2] == (bucket, key)]
        current = there[-1].fields["ETag"] if there and there[-1].data is not None else None
        if "IfNoneMatch" in request and current is not None:
            raise client_error("PreconditionFailed")
        if "IfMatch" in request and current is None:
            raise client_error("NoSuchKey")
        if request.get("IfMatch", current) != current:
            raise client_error("PreconditionFailed")
        made = self.put(bucket, key, f"put-{len(self.requests)}", request["Body"], Metadata=request["Metadata"])
        return {"ETag": made.fields["ETag"], "VersionId": made.fields["VersionId"]}

    def delete_object(self, **request: Any) -> dict[str, Any]:
        """DeleteObject of one version; without VersionId of an object in a bucket without versioning. What is missing is no error."""
        self._note(request)
        bucket, key, version_id = request["Bucket"], request["Key"], request.get("VersionId")
        if version_id is not None:
            self.versions.pop((bucket, key, version_id), None)
            return {}
        if request.get("IfMatch") not in {None, self._find(bucket, key, None).fields["ETag"]}:
            raise client_error("PreconditionFailed")
        for name in [name for name in self.versions if name[:2] == (bucket, key)]:
            del self.versions[name]
        return {}

    def _note(self, request: dict[str, Any]) -> None:
        self.requests.append(request)
        if self.before is not None:
            self.before(request)

    def _asked(self, request: dict[str, Any]) -> Version:
        self._note(request)
        version = self._find(request["Bucket"], request["Key"], request.get("VersionId"))
        if version.data is None:
            raise client_error("MethodNotAllowed")
        return version

    def _find(self, bucket: str, key: str, version_id: str | None) -> Version:
        of_key = {name[2]: version for name, version in self.versions.items() if name[:2] == (bucket, key)}
        if not of_key:
            raise client_error("NoSuchKey")
        if version_id is None:
            return list(of_key.values())[-1]
        if version_id not in of_key:
            raise client_error("NoSuchVersion")
        return of_key[version_id]

    @staticmethod
    def _answer(version: Version, wire: Wire, *, checksums: bool) -> dict[str, Any]:
        length: Any = str(version.size)
        checked = checksums and version.crc32 is not None
        body = StreamingChecksumBody(wire, length, Crc32Checksum(), version.crc32) if checked else StreamingBody(wire, length)
        fields = {name: value for name, value in version.fields.items() if checksums or not name.startswith("Checksum")}
        return {
            "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0},
            "AcceptRanges": "bytes",
            "LastModified": datetime(2026, 11, 12, tzinfo=UTC),
            "ContentLength": version.size,
            "ContentType": "binary/octet-stream",
            "ServerSideEncryption": "aws:kms",
            "Metadata": {},
            "Body": body,
            **fields,
        }
