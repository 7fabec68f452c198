"""The host's receipt for one object version: what became of a file, signed by the host (docs/sending.md)."""

import base64
import binascii
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, Field, ValidationError

from hikyaku.errors import UserError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

SIGNATURE = "hikyaku-signature"
NAMESPACE = "hikyaku-receipt"
ABSENT = {"NoSuchKey", "404", "AccessDenied", "403"}
"""Who may not list the bucket is told 403 of an object that is not there (Amazon S3 API Reference, GetObject)."""
PATIENCE_S = 30
SENT_ALL_THE_SAME = "The file was sent; it is only not known what became of it."


class Rows(BaseModel):
    """Counts; None where unknown."""

    read: int | None = None
    inserted: int | None = None
    updated: int | None = None
    unchanged: int | None = None
    deleted: int | None = None
    rejected: int | None = None


class Receipt(BaseModel):
    """What became of one object version. A newer host may add fields."""

    v: Literal[1]
    bucket: str
    key: str
    version_id: str
    sha256: str | None = None
    status: Literal["loaded", "duplicate", "superseded", "rejected", "tested", "staged"]
    error_code: str | None = None
    error: str | None = None
    rows: Rows = Field(default_factory=Rows)
    bad_lines: list[int] = Field(default_factory=list)
    rejects: str | None = None
    file_id: int | str | None = None
    received_at: datetime | None = None
    committed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Slip:
    """A receipt's bytes as they lie in the bucket, and their signature."""

    body: bytes
    signature: str

    def read(self) -> Receipt:
        """What it says.

        Raises:
            UserError: it is no receipt.
        """
        try:
            return Receipt.model_validate_json(self.body)
        except ValidationError as error:
            what = f"the receipt can't be read: {error.errors()[0]['msg']}"
            raise UserError(what, hint="Is the host newer than this command? Then upgrade it.") from None


def receipt_key(key: str) -> str:
    """Where the receipt of an object lies."""
    return f"receipts/{key}.json"


@dataclass(frozen=True, slots=True)
class BucketReceipts:
    """Receipts by the sender's own credentials."""

    s3: "S3Client"
    bucket: str

    def get(self, key: str) -> Slip | None:
        """The receipt of a key's newest version so far; None where there is none, or none that we may see.

        Raises:
            UserError: S3 can't be asked.
        """
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=receipt_key(key))
            return Slip(answer["Body"].read(), answer["Metadata"].get(SIGNATURE, ""))
        except ClientError as error:
            if error.response["Error"]["Code"] in ABSENT:
                return None
            raise UserError(f"the receipt can't be fetched: {error}", hint=SENT_ALL_THE_SAME) from None
        except BotoCoreError as error:
            raise UserError(f"the receipt can't be fetched: {error}", hint=SENT_ALL_THE_SAME) from None


def verify(slip: Slip, signers: Path) -> None:
    """Check the host's signature, as `ssh-keygen -Y verify` does by hand.

    Args:
        slip: bytes and signature.
        signers: an allowed_signers file (ssh-keygen(1)) with the host's receipt key.

    Raises:
        UserError: it is not signed by a key of that file.
    """
    if not slip.signature:
        raise UserError("the receipt is not signed.", hint="Ask the host for a receipt key, or leave --receipt-signer away.")
    program = shutil.which("ssh-keygen")
    if program is None:
        raise UserError("ssh-keygen is not here, which checks receipts.", hint="Install OpenSSH's client (Debian: openssh-client).")
    with tempfile.TemporaryDirectory() as folder:
        signature = Path(folder) / "receipt.sig"
        signature.write_text(_armored(slip.signature), encoding="ascii")
        found = _ssh([program, "-Y", "find-principals", "-f", str(signers), "-s", str(signature)])
        names = found.stdout.decode(errors="replace").splitlines()
        if found.returncode or not names:
            raise _unproven(signers)
        command = [program, "-Y", "verify", "-n", NAMESPACE, "-f", str(signers), "-I", names[0], "-s", str(signature)]
        if _ssh(command, slip.body).returncode:
            raise _unproven(signers)


def _ssh(command: list[str], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=data, capture_output=True, check=False, timeout=PATIENCE_S)  # noqa: S603 - a list, no shell


def _armored(signature: str) -> str:
    try:
        blob = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        raise UserError("the receipt's signature is damaged.", hint="Ask the host what became of the file.") from None
    return f"-----BEGIN SSH SIGNATURE-----\n{base64.encodebytes(blob).decode()}-----END SSH SIGNATURE-----\n"


def _unproven(signers: Path) -> UserError:
    return UserError(
        f"the receipt is signed by no key of {signers}, or was altered.", hint="Believe nothing of it; compare the key with the host's."
    )
