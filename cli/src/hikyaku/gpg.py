"""Encrypts, and signs, with the sender's own gpg: his keys, his agent and his smart card work as they do everywhere else."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from hikyaku.errors import UserError

CHUNK = 256 * 1024
FINGERPRINT = re.compile(r"(?:0x)?([0-9A-Fa-f]{40})(!?)")
OPTIONS = ("--batch", "--no-tty", "--quiet", "--trust-model", "always", "--no-auto-key-locate", "--no-armor", "--no-textmode")
"""The key is told by its fingerprint or comes as a file, so gpg's web of trust has no say."""


class Source(Protocol):
    """What is to be encrypted."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; nothing at the end."""
        ...


class Target(Protocol):
    """Where the message goes."""

    def write(self, data: bytes, /) -> int:
        """Take all of it."""
        ...


@dataclass(frozen=True, slots=True)
class Gpg:
    """How files are encrypted.

    Attributes:
        to: options that name the recipient.
        signing: options that name who signs; none for nobody.
        suffix: of the objects' keys.
    """

    to: tuple[str, ...]
    signing: tuple[str, ...] = ()
    suffix: str = ".csv.gz.gpg"

    def encrypt(self, source: Source, target: Target) -> None:
        """Make one message of all of `source`.

        Raises:
            UserError: gpg does not.
        """
        # What is inside is packed already.
        command = [_program(), *OPTIONS, "--compress-algo", "none", *self.to, *self.signing, "--encrypt"]
        with tempfile.TemporaryFile() as said:
            with subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
                command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=_environment()
            ) as process:
                _through(process, source, target)
            if process.returncode:
                said.seek(0)
                raise _refused(said.read(), "encrypt or sign")


def chosen(to: str, sign: str, *, age: bool, parts_unsigned: bool) -> Gpg | None:
    """What the options ask for; None for age. The keys are tried, so that nothing is sent before all is well.

    Args:
        to: a file with a public key, or a fingerprint.
        sign: a secret key of the sender's gpg, as gpg names keys.
        age: whether age's recipients are given too.
        parts_unsigned: whether files are cut, and their manifests not signed.

    Raises:
        UserError: the options don't go together, or gpg can't use a key.
    """
    if not to and sign:
        raise UserError(
            "--gpg-sign goes with --gpg", hint="Say whom to encrypt to: --gpg KEY. An age file is signed with --sign.", exit_code=2
        )
    if not to:
        return None
    if age:
        raise UserError("--gpg and age recipients don't go together", hint="A file is encrypted with one of them.", exit_code=2)
    if sign and parts_unsigned:
        what = "--split with --gpg-sign needs --sign too"
        raise UserError(what, hint="An OpenPGP signature says nothing of a part's group: --sign KEY signs that.", exit_code=2)
    gpg = Gpg(_recipient(to), ("--local-user", sign, "--sign") if sign else ())
    _try([*gpg.to, "--output", os.devnull, "--yes", "--encrypt"], to)
    if sign:
        _try(["--list-secret-keys", "--", sign], sign)
    return gpg


def _recipient(to: str) -> tuple[str, ...]:
    if Path(to).is_file():
        return "--recipient-file", to
    found = FINGERPRINT.fullmatch(to.replace(" ", ""))
    if found is None:
        hint = "gpg --fingerprint shows it: 40 hexadecimal digits. Or give the file that the receiver sent you."
        raise UserError(f"--gpg {to}: neither a file nor a fingerprint", hint=hint, exit_code=2)
    return "--recipient", f"{found[1].upper()}{found[2]}"


def _try(arguments: list[str], key: str) -> None:
    command = [_program(), *OPTIONS, *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=_environment())  # noqa: S603 - a list
    if done.returncode:
        raise _refused(done.stderr, f"use the key {key}", exit_code=2)


def _program() -> str:
    found = shutil.which("gpg")
    if found is None:
        raise UserError("gpg is not here, which encrypts.", hint="Install GnuPG (Debian: gnupg), or use age: -r age1…", exit_code=2)
    return found


def _environment() -> dict[str, str]:
    """Where gpg's agent may ask for a passphrase."""
    terminal = {"GPG_TTY": os.ttyname(sys.stdin.fileno())} if sys.stdin is not None and sys.stdin.isatty() else {}
    return {**terminal, **os.environ, "LC_ALL": "C"}


def _through(process: "subprocess.Popen[bytes]", source: Source, target: Target) -> None:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("gpg is started with pipes")
    with ThreadPoolExecutor(1) as pool:
        collected = pool.submit(_collect, process, process.stdout, target)
        try:
            _feed(process.stdin, source)
        except BaseException:
            process.kill()
            raise
    collected.result()


def _feed(into: IO[bytes], source: Source) -> None:
    try:
        while chunk := memoryview(source.read(CHUNK)):
            while chunk:
                chunk = chunk[into.write(chunk) :]
        into.close()
    except BrokenPipeError:
        # gpg has given up, and its exit status tells.
        return


def _collect(process: "subprocess.Popen[bytes]", out: IO[bytes], target: Target) -> None:
    try:
        while chunk := out.read(CHUNK):
            target.write(chunk)
    except BaseException:
        # Else gpg would wait for somebody to read, and we for gpg.
        process.kill()
        raise


def _refused(said: bytes, what: str, *, exit_code: int = 1) -> UserError:
    reason = " ".join(said.decode("utf-8", "replace").replace("gpg: ", " ").split())[:300] or "it does not say why"
    printable = "".join(sign if sign.isprintable() else "?" for sign in reason)
    return UserError(
        f"gpg does not {what}: {printable}", hint="Does the key exist, and has it not run out? gpg --list-keys", exit_code=exit_code
    )
