"""Puts one file by a presigned URL, or by a presigned form, without any AWS credentials.

S3 takes no `x-amz-` header that a URL was not signed for, so a URL made beforehand carries no manifest. A form (POST policy) leaves the
manifest's two fields open: that is the way for signed files (Amazon S3 API Reference, SigV4 query parameters; POST policy).
"""

import base64
import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs, unquote, urlsplit

import urllib3

from hikyaku.errors import UserError
from hikyaku.sending.destination import SUFFIXES, Destination
from hikyaku.sending.http import ask, refused

CHUNK = 256 * 1024
METADATA = "x-amz-meta-"
_FIELD = re.compile(r'^(url|form|form-string)\s*=\s*"(.*)"$')


@dataclass(frozen=True, slots=True)
class PutUrl:
    """A presigned PUT."""

    url: str
    kms_key: str = ""
    takes_manifest: bool = False

    def destination(self) -> Destination:
        """The bucket and key that it is for.

        Raises:
            UserError: it is for no file of ours.
        """
        parts = urlsplit(self.url)
        before, found, rest = unquote(parts.path).partition("/incoming/")
        key = f"incoming/{rest}"
        if not found or not key.endswith(SUFFIXES):
            raise UserError("--url is for no incoming/….csv.gz.age", hint="Ask the host for one: hikyaku presign KEY.", exit_code=2)
        return Destination(before.strip("/") or (parts.hostname or "").partition(".s3")[0], key)

    def put(self, ciphertext: IO[bytes], bucket: str, key: str, *, metadata: dict[str, str], progress: Callable[[int], object]) -> str:
        """Put it whole, or not at all; there is no manifest.

        Raises:
            UserError: the URL does not allow it, or does no more.
        """
        del bucket, metadata
        headers = {**self._headers(), "Content-Length": str(_size(ciphertext))}
        return _version(ask("PUT", self.url, headers=headers, body=_chunks(ciphertext, progress)), key)

    def _headers(self) -> dict[str, str]:
        signed = parse_qs(urlsplit(self.url).query).get("X-Amz-SignedHeaders", ["host"])[0].split(";")
        kms = {"x-amz-server-side-encryption-aws-kms-key-id": self.kms_key} if self.kms_key else {}
        known = {"if-none-match": "*", "x-amz-server-side-encryption": "aws:kms", **kms}
        if unknown := [name for name in signed if name not in {*known, "host"}]:
            hint = "Name the key with --sse-kms-key. For a signed manifest, ask for a form: hikyaku presign KEY --form."
            raise UserError(f"--url was signed for {', '.join(unknown)}, whose value is not known here", hint=hint, exit_code=2)
        return {name: known[name] for name in signed if name in known}


@dataclass(frozen=True, slots=True)
class Form:
    """A presigned POST, which takes a manifest."""

    url: str
    fields: dict[str, str]
    takes_manifest: bool = True

    def destination(self) -> Destination:
        """The bucket and key that it is for.

        Raises:
            UserError: it does not say.
        """
        try:
            conditions = json.loads(base64.b64decode(self.fields["policy"]))["conditions"]
            bucket = next(one["bucket"] for one in conditions if isinstance(one, dict) and "bucket" in one)
            return Destination(bucket, self.fields["key"])
        except (KeyError, ValueError, StopIteration, TypeError):
            raise UserError("--url: the form names no bucket and key", hint="Is the file complete?", exit_code=2) from None

    def put(self, ciphertext: IO[bytes], bucket: str, key: str, *, metadata: dict[str, str], progress: Callable[[int], object]) -> str:
        """Put it whole, or not at all.

        Raises:
            UserError: the form does not allow it, or does no more.
        """
        del bucket
        boundary = secrets.token_hex(16)
        said = {**self.fields, **{METADATA + name: value for name, value in metadata.items()}}
        head = "".join(_field(boundary, name, value) for name, value in said.items())
        first = f'{head}--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="sealed"\r\n\r\n'.encode()
        last = f"\r\n--{boundary}--\r\n".encode()
        size = len(first) + _size(ciphertext) + len(last)
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(size)}
        return _version(ask("POST", self.url, headers=headers, body=_between(first, _chunks(ciphertext, progress), last)), key)


def parse_url(text: str, kms_key: str = "") -> PutUrl | Form:
    """A presigned URL, or the file of a form as `hikyaku presign --form` prints it.

    Raises:
        UserError: it is neither.
    """
    if text.startswith(("https://", "http://")):
        return PutUrl(text, kms_key)
    try:
        return _read_form(Path(text).read_text(encoding="utf-8"))
    except (OSError, UnicodeError):
        raise UserError("--url is no URL, and no file of a form", hint="Quote it: the shell cuts an URL at &.", exit_code=2) from None


def _read_form(text: str) -> Form:
    url, fields = "", {}
    for line in text.splitlines():
        if found := _FIELD.match(line.strip()):
            value = re.sub(r"\\(.)", r"\1", found[2])
            if found[1] == "url":
                url = value
            else:
                name, _, content = value.partition("=")
                fields[name] = content
    if not url or "policy" not in fields:
        raise UserError("--url: the file is no presigned form", hint="The host makes one: hikyaku presign KEY --form.", exit_code=2)
    return Form(url, fields)


def _field(boundary: str, name: str, value: str) -> str:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'


def _size(file: IO[bytes]) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


def _chunks(file: IO[bytes], progress: Callable[[int], object]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
        progress(len(chunk))


def _between(first: bytes, chunks: Iterator[bytes], last: bytes) -> Iterator[bytes]:
    yield first
    yield from chunks
    yield last


def _version(answer: urllib3.BaseHTTPResponse, key: str) -> str:
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        raise refused(answer, f"{key} was not sent")
    return answer.headers.get("x-amz-version-id", "")
