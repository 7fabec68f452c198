"""The options of `hikyaku send`, and what of them does not go together."""

from pathlib import Path
from typing import Annotated

import typer

from hikyaku.errors import UserError
from hikyaku.printable import printable
from hikyaku.sending.destination import Destination
from hikyaku.sending.source import STDIN
from hikyaku.sequence import LARGEST
from hikyaku.split import Splitting, parse_size

LONGEST_NAME = 256
"""Characters of a sender's name."""


def _existing(files: list[Path]) -> list[Path]:
    # Typer's own exists=True takes no dash for a Path, whatever allow_dash says (0.29).
    if missing := next((file for file in files if file != STDIN and not file.exists()), None):
        raise typer.BadParameter(f"file '{printable(str(missing))}' does not exist.")
    return files


Files = Annotated[
    list[Path], typer.Argument(help="CSV files, or .csv.gz; - is standard input.", dir_okay=False, readable=True, callback=_existing)
]
To = Annotated[str, typer.Option("--to", help="s3://BUCKET/incoming/DATASET/", metavar="S3-URL")]
Url = Annotated[str, typer.Option("--url", help="In place of --to: a presigned URL, or a presigned form's file; no AWS credentials.")]
ReceiptUrl = Annotated[str, typer.Option("--receipt-url", help="With --url and --wait: presigned URL of the receipt.")]
Recipients = Annotated[list[str] | None, typer.Option("--recipient", "-r", help="age1… public key of the host; may be repeated.")]
RecipientsFiles = Annotated[
    list[Path] | None, typer.Option("--recipients-file", "-R", help="File with one public key a line.", exists=True, dir_okay=False)
]
GpgTo = Annotated[str, typer.Option("--gpg", help="Encrypt with gpg, to this OpenPGP key: a file, or a fingerprint.", metavar="KEY")]
GpgSign = Annotated[str, typer.Option("--gpg-sign", help="With --gpg: sign with this key of your gpg.", metavar="KEY")]
SigningKey = Annotated[
    Path | None,
    typer.Option("--sign", help="Your SSH private key, or the .pub of one in an agent.", metavar="KEY", exists=True, dir_okay=False),
]
Sender = Annotated[str, typer.Option("--sender", help="Your name at the receiver; else the key's comment, else user@host.")]
Seq = Annotated[int | None, typer.Option("--seq", help="Number of the first file; else counted here.", min=0, max=LARGEST)]
Split = Annotated[
    int | None,
    typer.Option("--split", help="Cut into parts of about this much CSV, loaded together: 256MB.", metavar="SIZE", parser=parse_size),
]
NoHeader = Annotated[bool, typer.Option("--no-header", help="With --split: the first record is data.")]
Group = Annotated[str, typer.Option("--group", help="With --split: name of the parts' group; else from name and content.")]

Wait = Annotated[bool, typer.Option("--wait", help="Until the host's receipt says what became of the file; exit 3 when it was rejected.")]
Timeout = Annotated[float, typer.Option("--timeout", help="With --wait: seconds for each file.", min=0)]
ReceiptSigner = Annotated[
    Path | None,
    typer.Option("--receipt-signer", help="With --wait: allowed_signers file with the host's receipt key.", exists=True, dir_okay=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Compress, encrypt, number and sign, but send nothing and use no number up.")]
KmsKey = Annotated[str, typer.Option("--sse-kms-key", help="ARN of the KMS key, where the bucket's policy wants it named.")]
NoReplace = Annotated[bool, typer.Option("--no-replace", help="Send only what has no object of its name yet.")]
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON for each file.")]


def splitting(size: int | None, *, no_header: bool, group: str, files: list[Path]) -> Splitting | None:
    """How files are to be cut; None for not at all.

    Raises:
        UserError: the options do not go together.
    """
    if size is not None and STDIN in files:
        raise UserError("--split reads a file twice, which standard input can't be", hint="Save it to a file first.", exit_code=2)
    if size is None and (no_header or group):
        raise UserError("--no-header and --group go with --split", hint="Say how large the parts may be: --split 256MB.", exit_code=2)
    if group and len(files) > 1:
        raise UserError("--group names one file's parts, but several files are to be sent", hint="Send them one by one.", exit_code=2)
    return None if size is None else Splitting(size, header=not no_header, group=named(group, "--group"))


def named(name: str, option: str = "--sender") -> str:
    """A name as a manifest takes it.

    Raises:
        UserError: it is none.
    """
    if len(name) > LONGEST_NAME or (name and not name.isprintable()):
        raise UserError(f"{option} is too long, or no text", hint="It is a name as acme@example.com.", exit_code=2)
    return name


def refuse_other_suffix(to: Destination, suffix: str) -> None:
    """A key says how its file is encrypted.

    Raises:
        UserError: it is to be named as something else.
    """
    if to.is_one_file and not to.prefix.endswith(suffix):
        raise UserError(f"the key is to end otherwise than with {suffix}", hint="How a file is encrypted must fit its key.", exit_code=2)


def refuse_nameless(files: list[Path], to: Destination, suffix: str) -> None:
    """Standard input has no name, so its key must be told.

    Raises:
        UserError: it is not.
    """
    if STDIN in files and not to.is_one_file:
        named_so = f"s3://{to.bucket}/{to.key('2026-11.csv', suffix)}"
        raise UserError("standard input has no name: --to must name the file", hint=f"Example: --to {named_so}", exit_code=2)


def refuse_encrypted(files: list[Path]) -> None:
    """Nothing is encrypted twice.

    Raises:
        UserError: one of them is encrypted.
    """
    if encrypted := next((file for file in files if file.suffix in {".age", ".gpg"}), None):
        raise UserError(f"{encrypted.name} is encrypted already", hint="Upload it with any S3 client, such as aws s3 cp.", exit_code=2)
