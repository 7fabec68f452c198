"""One file of the keyring: which keys it holds, or in words why none that can be used. No message quotes the file."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage

from decryptor.ssh_wire import LENGTH, string

AGE_KEY = "AGE-SECRET-KEY-1"
ENCRYPTED = (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")
SSH_BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----"
SSH_END = "-----END OPENSSH PRIVATE KEY-----"
PEM_BEGIN = "-----BEGIN "
SSH_MAGIC = b"openssh-key-v1\0"
ED25519 = b"ssh-ed25519"
OTHER_KINDS = frozenset(
    {
        *(b"ssh-rsa", b"ssh-dss", b"ssh-ed448"),
        *(b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp521"),
        *(b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"),
    }
)
"""What `ssh-keygen -t` makes besides (ssh-keygen(1))."""
MAKE = "make an ed25519 key (ssh-keygen -t ed25519) or an age identity (age-keygen)"


class IdentityFileError(Exception):
    """A file of the keyring can't be used; the message says why and never quotes the file."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The private keys of one file."""

    name: str
    keys: tuple[Any, ...]
    """pyrage identities; several lines of one file count as one identity."""


def read(path: Path) -> Identity:
    """The keys of a file.

    Raises:
        IdentityFileError: there is none that can be used.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IdentityFileError(str(error.strerror)) from error
    if data.lstrip().startswith(ENCRYPTED):
        raise IdentityFileError("is protected by a passphrase, and nobody is there to type it: put what `age --decrypt` makes of it here")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        # Not chained: the exception holds the file's bytes.
        raise IdentityFileError("is neither age identities nor an OpenSSH private key") from None
    return Identity(name=path.stem, keys=_ssh_key(text) if text.lstrip().startswith(SSH_BEGIN) else _age_keys(text))


def _age_keys(text: str) -> tuple[Any, ...]:
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    keys = tuple(_age_key(number, line) for number, line in lines if line and not line.startswith("#"))
    if not keys:
        raise IdentityFileError("holds no key")
    return keys


def _age_key(number: int, line: str) -> Any:
    if line.startswith(PEM_BEGIN):
        raise IdentityFileError(f"is a key in PEM, as of RSA: {MAKE}")
    if not line.startswith(AGE_KEY):
        raise IdentityFileError(f"line {number} is not an {AGE_KEY} key")
    try:
        return pyrage.x25519.Identity.from_str(line)
    except pyrage.IdentityError:
        raise IdentityFileError(f"line {number} is a damaged {AGE_KEY} key") from None


def _ssh_key(text: str) -> tuple[Any, ...]:
    body = text.strip().removeprefix(SSH_BEGIN).removesuffix(SSH_END)
    try:
        _check_ssh(base64.b64decode(body))
        return (pyrage.ssh.Identity.from_buffer(text.encode()),)
    except (ValueError, pyrage.IdentityError):
        raise IdentityFileError("is a damaged OpenSSH private key") from None


def _check_ssh(key: bytes) -> None:
    """Look at what stands before the key itself (OpenSSH, PROTOCOL.key): cipher, key derivation and its options, one public key."""
    cipher, rest = string(key.removeprefix(SSH_MAGIC))
    if cipher != b"none":
        raise IdentityFileError("is protected by a passphrase, and nobody is there to type it: take it off with ssh-keygen -p")
    _, rest = string(rest)
    _, rest = string(rest)
    public, _ = string(rest[LENGTH:])
    kind, _ = string(public)
    if kind != ED25519:
        # In a damaged file any bytes may stand here, those of the key itself too: only what is known is named.
        if kind not in OTHER_KINDS:
            raise ValueError("no kind of key")
        raise IdentityFileError(f"is a key of another kind ({kind.decode()}): {MAKE}")
