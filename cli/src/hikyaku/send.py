"""`hikyaku send`: the sender's one command."""

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Annotated

import boto3
import typer
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from hikyaku import gpg, split
from hikyaku.errors import UserError
from hikyaku.manifest import Part, Voucher
from hikyaku.parcel import Recipients, Sealed, read_recipients, seal
from hikyaku.printable import printable
from hikyaku.sequence import LARGEST, Sequence
from hikyaku.sign import default_sender
from hikyaku.split import Splitting, parse_size

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MIB = 1024 * 1024
MEMORY_FOR_CIPHERTEXT = 8 * MIB
"""Up to here the ciphertext waits in memory, above it in a temporary file: only ciphertext ever does."""
TRANSFER = TransferConfig(multipart_threshold=64 * MIB, multipart_chunksize=16 * MIB, max_concurrency=4)
DESTINATION = re.compile(r"^s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>incoming/.*)$", re.DOTALL)
AGE = ".csv.gz.age"
LONGEST_NAME = 256
"""Characters of a sender's name."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that arrived in S3."""

    key: str
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Destination:
    """Bucket and key prefix; the prefix ends with `/` unless it names one file."""

    bucket: str
    prefix: str
    suffix: str = AGE
    """Of the keys: it tells how a file is encrypted."""

    def key(self, file: Path) -> str:
        """Key for a local file: its name, plus the suffixes that say what was done to it."""
        if self.prefix.endswith(self.suffix):
            return self.prefix
        name = file.name
        for suffix in (".gz", ".csv"):
            name = name.removesuffix(suffix)
        return f"{self.prefix.rstrip('/')}/{name}{self.suffix}"


def s3_client() -> "S3Client":
    """S3 by the standard AWS settings (AWS_PROFILE, AWS_ENDPOINT_URL, …); the SDK alone would not read AWS_REGION."""
    return boto3.client(
        "s3",
        region_name=os.environ.get("AWS_REGION"),
        config=Config(retries={"mode": "standard", "max_attempts": 5}, s3={"addressing_style": "auto"}),
    )


def parse_destination(text: str, suffix: str = AGE) -> Destination:
    """Read `s3://bucket/incoming/<dataset>/`, for keys that end with `suffix`.

    Raises:
        UserError: it is not of that form.
    """
    match = DESTINATION.match(text)
    if match is None or not match["prefix"].removeprefix("incoming/").strip("/"):
        raise UserError(f"--to {text}: not s3://BUCKET/incoming/DATASET/", hint="Example: --to s3://acme-in/incoming/orders/", exit_code=2)
    return Destination(match["bucket"], match["prefix"], suffix)


def send_file(
    s3: "S3Client", file: Path, to: Destination, recipients: Recipients, progress: Progress, *, voucher: Voucher | None = None
) -> Sent:
    """Gzip, encrypt and upload one file; a `.csv.gz` is not packed again.

    Args:
        s3: where to.
        file: CSV.
        to: bucket and key.
        recipients: who may open it.
        progress: shows how far it is.
        voucher: makes its manifest, which travels in the same PUT; without one, nobody states anything.

    Raises:
        OSError: the file can't be read.
        UserError: S3 said no, or it can't be signed.
    """
    reading = progress.add_task(printable(f"read  {file.name}"), total=file.stat().st_size)
    with tempfile.SpooledTemporaryFile(MEMORY_FOR_CIPHERTEXT) as ciphertext, file.open("rb") as source:
        sealed = seal(source, ciphertext, recipients, compress=file.suffix != ".gz", progress=lambda n: progress.advance(reading, n))
        sent = Sent(to.key(file), sealed)
        stated = _stated(voucher, to.bucket, sent, progress) if voucher else {}
        _upload(s3, ciphertext, sent, to.bucket, progress=progress, metadata=stated)
    return sent


def send_parts(
    s3: "S3Client", file: Path, how: Splitting, to: Destination, recipients: Recipients, *, progress: Progress, voucher: Voucher
) -> Iterator[Sent]:
    """Send one file as a group of parts, which are loaded together, or not at all. One that fits into one part goes whole.

    It is read twice: each part says of how many it is one. Only one part's ciphertext waits at a time.

    Args:
        s3: where to.
        file: CSV, or `.csv.gz`.
        how: it is cut.
        to: bucket and key.
        recipients: who may open it.
        progress: shows how far it is.
        voucher: makes the manifests.

    Raises:
        OSError: the file can't be read.
        UserError: it can't be cut, S3 said no, or it changed meanwhile.
    """
    with split.opened(file) as source:
        cut = split.find_cuts(source, how.size, header=how.header)
    count = len(cut.ends)
    if count == 1:
        yield send_file(s3, file, to, recipients, progress, voucher=voucher)
        return
    reading = progress.add_task(printable(f"read  {file.name}"), total=cut.ends[-1])
    with split.opened(file) as source:
        parts = split.Parts(source, cut)
        for number, part in enumerate(parts, 1):
            with tempfile.SpooledTemporaryFile(MEMORY_FOR_CIPHERTEXT) as ciphertext:
                sealed = seal(part, ciphertext, recipients, compress=True, progress=lambda n: progress.advance(reading, n))
                if number == count and not parts.is_unchanged():
                    what = f"{file.name} changed while it was sent: its last part was kept back, so none of it will be loaded."
                    raise UserError(what, hint="Send it again when nobody writes to it.")
                sent = Sent(split.part_key(to.key(file), number, count), sealed)
                stated = _stated(voucher, to.bucket, sent, progress, Part(how.group or cut.group(file), number, count))
                _upload(s3, ciphertext, sent, to.bucket, progress=progress, metadata=stated)
            yield sent


def _upload(s3: "S3Client", ciphertext: IO[bytes], sent: Sent, bucket: str, *, progress: Progress, metadata: dict[str, str]) -> None:
    ciphertext.seek(0)
    sending = progress.add_task(printable(f"sent  {PurePosixPath(sent.key).name}"), total=sent.sealed.size)
    try:
        # In parts above the threshold; the transfer manager retries parts and aborts an upload that fails.
        s3.upload_fileobj(
            ciphertext,
            bucket,
            sent.key,
            ExtraArgs={"Metadata": metadata} if metadata else {},
            Config=TRANSFER,
            Callback=lambda n: progress.advance(sending, n),
        )
    except (ClientError, BotoCoreError, S3UploadFailedError) as error:
        raise UserError(f"s3://{bucket}/{sent.key} was not sent: {error}", hint="Check the credentials, the bucket and --to.") from None


def _stated(voucher: Voucher, bucket: str, sent: Sent, progress: Progress, part: Part | None = None) -> dict[str, str]:
    if voucher.key is None:
        return voucher.metadata(bucket, sent.key, sent.sealed, part)
    # The bars stand still: ssh-keygen may ask for a passphrase.
    progress.stop()
    found = voucher.metadata(bucket, sent.key, sent.sealed, part)
    progress.start()
    return found


def progress_bars(console: Console) -> Progress:
    """Two honest bars a file; plain nothing when the output is no terminal."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def send(
    files: Annotated[list[Path], typer.Argument(help="CSV files, or .csv.gz.", exists=True, dir_okay=False, readable=True)],
    to: Annotated[str, typer.Option("--to", help="s3://BUCKET/incoming/DATASET/", metavar="S3-URL")],
    recipient: Annotated[list[str] | None, typer.Option("--recipient", "-r", help="age1… public key of the host; may be repeated.")] = None,
    recipients_file: Annotated[
        list[Path] | None, typer.Option("--recipients-file", "-R", help="File with one public key a line.", exists=True, dir_okay=False)
    ] = None,
    *,
    gpg_to: Annotated[
        str, typer.Option("--gpg", help="Encrypt with gpg, to this OpenPGP key: a file, or a fingerprint.", metavar="KEY")
    ] = "",
    gpg_sign: Annotated[str, typer.Option("--gpg-sign", help="With --gpg: sign with this key of your gpg.", metavar="KEY")] = "",
    sign: Annotated[
        Path | None,
        typer.Option("--sign", help="Your SSH private key, or the .pub of one in an agent.", metavar="KEY", exists=True, dir_okay=False),
    ] = None,
    sender: Annotated[str, typer.Option("--sender", help="Your name at the receiver; else the key's comment, else user@host.")] = "",
    seq: Annotated[int | None, typer.Option("--seq", help="Number of the first file; else counted here.", min=0, max=LARGEST)] = None,
    size: Annotated[
        int | None,
        typer.Option("--split", help="Cut into parts of about this much CSV, loaded together: 256MB.", metavar="SIZE", parser=parse_size),
    ] = None,
    no_header: Annotated[bool, typer.Option("--no-header", help="With --split: the first record is data.")] = False,
    group: Annotated[str, typer.Option("--group", help="With --split: name of the parts' group; else from name and content.")] = "",
) -> None:
    """Encrypt CSV files and put them in S3.

    Example: hikyaku send 2026-11.csv --to s3://acme-in/incoming/orders/ -r age1… --sign ~/.ssh/acme
    """
    cipher = gpg.chosen(gpg_to, gpg_sign, age=bool(recipient or recipients_file), parts_unsigned=size is not None and sign is None)
    try:
        keys: Recipients = cipher or read_recipients(recipient or [], recipients_file or [])
    except ValueError as error:
        raise UserError(str(error), exit_code=2) from None
    if not keys:
        raise UserError("no recipient", hint="Give the host's public key: -r age1… (or -R FILE, or --gpg KEY).", exit_code=2)
    if encrypted := next((file for file in files if file.suffix in {".age", ".gpg"}), None):
        raise UserError(f"{encrypted.name} is encrypted already", hint="Upload it with any S3 client, such as aws s3 cp.", exit_code=2)
    destination = parse_destination(to, cipher.suffix if cipher else AGE)
    if len(files) > 1 and destination.prefix.endswith(destination.suffix):
        raise UserError("--to names one file, but several are to be sent", hint="End --to with a folder: …/orders/", exit_code=2)
    if size is None and (no_header or group):
        raise UserError("--no-header and --group go with --split", hint="Say how large the parts may be: --split 256MB.", exit_code=2)
    if group and len(files) > 1:
        raise UserError("--group names one file's parts, but several files are to be sent", hint="Send them one by one.", exit_code=2)
    voucher = Voucher(_named(sender) or default_sender(sign), sign, Sequence(told=seq))
    console, s3 = Console(), s3_client()
    with progress_bars(Console(stderr=True)) as progress:
        for file in files:
            if size is None:
                every = iter([send_file(s3, file, destination, keys, progress, voucher=voucher)])
            else:
                how = Splitting(size, header=not no_header, group=_named(group, "--group"))
                every = send_parts(s3, file, how, destination, keys, progress=progress, voucher=voucher)
            for sent in every:
                console.print(
                    printable(f"sent {file.name} to s3://{destination.bucket}/{sent.key} ({sent.sealed.size:,} bytes)"),
                    markup=False,
                    highlight=False,
                    soft_wrap=True,
                )


def _named(name: str, option: str = "--sender") -> str:
    if len(name) > LONGEST_NAME or (name and not name.isprintable()):
        raise UserError(f"{option} is too long, or no text", hint="It is a name as acme@example.com.", exit_code=2)
    return name
