"""`hikyaku keygen`: the host's age identity, or a sender's signing key. Nothing is ever overwritten."""

import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from hikyaku.errors import UserError
from hikyaku.operator.output import note
from hikyaku.setup import identity
from hikyaku.sign import default_sender

IDENTITY = "hikyaku.txt"
SIGNING = "hikyaku-signing"


def keygen(
    out: Annotated[Path, typer.Option("--out", help="Folder for the two files; made when it is missing.", file_okay=False)] = Path(),
    *,
    signing: Annotated[bool, typer.Option("--signing", help="A sender's signing key, by ssh-keygen, in place of the host's pair.")] = False,
    name: Annotated[str, typer.Option("--name", help="With --signing: your name at the receiver, as acme@example.com.")] = "",
) -> None:
    """Make a key pair: the host's, that files are encrypted for; or with --signing a sender's own.

    Example: hikyaku keygen --out secrets/decryptor/identities
    """
    try:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        public = _signing_key(out / SIGNING, name) if signing else _identity(out / IDENTITY)
    except FileExistsError as error:
        raise UserError(f"{error.filename} exists; keys are never overwritten.", hint="Choose another --out.", exit_code=2) from None
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}", hint="Choose another --out.") from None
    typer.echo(public)
    note("", *(_next_for_sender(out) if signing else _next_for_host(out)))


def _identity(path: Path) -> str:
    _refuse_existing(path)
    text = identity.new()
    recipient = identity.recipients(text)[0]
    _write_new(path, text, 0o600)
    _write_new(_public(path), f"{recipient}\n", 0o644)
    return recipient


def _signing_key(path: Path, name: str) -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise UserError("ssh-keygen is not here, which makes signing keys.", hint="Install OpenSSH's client (Debian: openssh-client).")
    _refuse_existing(path)
    command = [program, "-q", "-t", "ed25519", "-N", "", "-C", name or default_sender(None), "-f", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    if done.returncode:
        raise UserError(f"ssh-keygen made no key: {' '.join(done.stderr.split())[:300]}")
    return _public(path).read_text(encoding="utf-8").strip()


def _refuse_existing(path: Path) -> None:
    # Of both, before either is made: there is no half of a pair.
    for file in (path, _public(path)):
        if file.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file))


def _public(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")


def _write_new(path: Path, text: str, mode: int) -> None:
    # Made with its mode, so that nobody reads it meanwhile.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)


def _next_for_host(out: Path) -> tuple[str, ...]:
    return (
        f"{out / IDENTITY} opens files: it stays on the host, in secrets/decryptor/identities. Keep a copy offline.",
        "Give the line above to your senders: hikyaku send FILE.csv -r age1… --to s3://BUCKET/incoming/DATASET/",
    )


def _next_for_sender(out: Path) -> tuple[str, ...]:
    return (
        f"{out / SIGNING} signs: keep it to yourself. A passphrase: ssh-keygen -p -f {out / SIGNING}",
        f"Give {out / SIGNING}.pub to the receiver, for config/allowed_signers, and compare: ssh-keygen -lf {out / SIGNING}.pub",
        f"Then: hikyaku send FILE.csv --sign {out / SIGNING} …",
    )
