"""`hikyaku presign`: lets somebody without AWS credentials send one file."""

import os
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hikyaku.errors import UserError
from hikyaku.operator.output import json_line, note
from hikyaku.sending.destination import SUFFIXES
from hikyaku.sending.receipt import receipt_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_S = 7 * 86400
"""What S3 lets a presigned URL live (Amazon S3 User Guide, Download and upload objects with presigned URLs)."""
OPEN_FIELDS = ("x-amz-meta-hikyaku-manifest", "x-amz-meta-hikyaku-signature")


@dataclass(frozen=True, slots=True)
class Permit:
    """What is allowed: one object, for a while."""

    s3: "S3Client"
    bucket: str
    key: str
    seconds: int

    def put_url(self, kms_key: str) -> tuple[str, dict[str, str]]:
        """A PUT that works once, and the headers that must go with it."""
        sse: dict[str, Any] = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        params = {"Bucket": self.bucket, "Key": self.key, "IfNoneMatch": "*", **sse}
        headers = {"If-None-Match": "*"}
        if kms_key:
            headers |= {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": kms_key}
        return self.s3.generate_presigned_url("put_object", Params=params, ExpiresIn=self.seconds), headers

    def form(self) -> str:
        """A POST whose manifest is left open, as a file for `curl --config` and `hikyaku send --url`."""
        conditions = [["starts-with", f"${name}", ""] for name in OPEN_FIELDS]
        made = self.s3.generate_presigned_post(self.bucket, self.key, Conditions=conditions, ExpiresIn=self.seconds)
        lines = [f'url = "{made["url"]}"', *(f"form-string = {_quoted(f'{name}={value}')}" for name, value in made["fields"].items())]
        return "\n".join(lines)

    def receipt_url(self) -> str:
        """A GET of the receipt."""
        params = {"Bucket": self.bucket, "Key": receipt_key(self.key)}
        return self.s3.generate_presigned_url("get_object", Params=params, ExpiresIn=self.seconds)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def parse_duration(text: str) -> int:
    """Seconds, of `90s`, `15m`, `1h` or `7d`.

    Raises:
        UserError: it is no duration, or longer than S3 allows.
    """
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST_S:
        raise UserError(f"--expires {text}: not between 1s and 7d", hint="Example: --expires 1h", exit_code=2)
    return seconds


def presign(
    key: Annotated[str, typer.Argument(help="DATASET/NAME.csv.gz.age", metavar="KEY")],
    bucket: Annotated[str, typer.Option("--bucket", envvar="HIKYAKU_BUCKET", help="The bucket.")] = "",
    expires: Annotated[int, typer.Option("--expires", help="90s, 15m, 1h … 7d.", parser=parse_duration)] = "1h",  # type: ignore[assignment]
    *,
    form: Annotated[bool, typer.Option("--form", help="A form, which takes the sender's signed manifest; works more than once.")] = False,
    sse_kms_key: Annotated[str, typer.Option("--sse-kms-key", help="ARN of the KMS key, where it must be named.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Let somebody without AWS credentials send one file: prints a URL that works once, and a curl line.

    Example: hikyaku presign orders/2026-11.csv.gz.age --expires 1h
    """
    if form and sse_kms_key:
        raise UserError("--form and --sse-kms-key do not go together", hint="The bucket's default encrypts it.", exit_code=2)
    permit = Permit(_client(), _bucket(bucket), _key(key), expires)
    try:
        _print_form(permit, as_json=as_json) if form else _print_url(permit, sse_kms_key, as_json=as_json)
    except (BotoCoreError, ClientError) as error:
        raise UserError(f"nothing can be presigned: {error}", hint="Check the credentials (AWS_PROFILE, …).") from None


def _print_url(permit: Permit, kms_key: str, *, as_json: bool) -> None:
    url, headers = permit.put_url(kms_key)
    receipt = permit.receipt_url()
    if as_json:
        json_line({"url": url, "headers": headers, "receipt_url": receipt, "expires_s": permit.seconds})
        return
    said = " ".join(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items())
    typer.echo(url)
    note("", f"Works once, within {permit.seconds} s. With curl, FILE being gzip and age already:")
    note(f"curl --fail-with-body --silent --show-error {said} -T FILE {shlex.quote(url)}")
    note("", f"Or: hikyaku send FILE.csv -r age1… --wait --url {shlex.quote(url)} \\", f"  --receipt-url {shlex.quote(receipt)}")


def _print_form(permit: Permit, *, as_json: bool) -> None:
    form, receipt = permit.form(), permit.receipt_url()
    if as_json:
        json_line({"form": form, "receipt_url": receipt, "expires_s": permit.seconds})
        return
    typer.echo(form)
    note("", f"Keep it in a file, form, and send it to the sender; it works within {permit.seconds} s:")
    note("hikyaku send FILE.csv -r age1… --sign KEY --wait --url form \\", f"  --receipt-url {shlex.quote(receipt)}")


def _client() -> "S3Client":
    # With "auto", boto3 presigns for the global endpoint, which redirects uploads to new buckets of other regions.
    own = bool(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"))
    config = Config(
        signature_version="s3v4", request_checksum_calculation="when_required", s3={"addressing_style": "path" if own else "virtual"}
    )
    return boto3.client("s3", region_name=os.environ.get("AWS_REGION"), config=config)


def _bucket(name: str) -> str:
    if not name:
        raise UserError("no bucket", hint="Name it with --bucket, or HIKYAKU_BUCKET.", exit_code=2)
    return name


def _key(text: str) -> str:
    key = f"incoming/{text.removeprefix('incoming/')}"
    if not key.endswith(SUFFIXES) or key.count("/") < 2:  # noqa: PLR2004 - incoming, dataset, name
        raise UserError(f"{text}: not DATASET/NAME.csv.gz.age", hint="Example: orders/2026-11.csv.gz.age", exit_code=2)
    return key
