"""The key that signs receipts: an OpenSSH ed25519 private key, and what `ssh-keygen -Y sign` would make with it (PROTOCOL.sshsig)."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from decryptor.key_file import IdentityFileError
from decryptor.keyring import check_rights
from decryptor.signature import MAGIC
from decryptor.ssh_wire import LENGTH
from shared.receipt import NAMESPACE

HASH = "sha512"
KIND = b"ssh-ed25519"
MAKE = "make one with ssh-keygen -t ed25519 -N ''"


def read(path: Path) -> Callable[[bytes], str]:
    """What signs with the key in this file.

    Raises:
        IdentityFileError: it can't be used; the message never quotes the file.
    """
    try:
        status = path.stat()
        check_rights(path, status.st_mode, status.st_uid)
        data = path.read_bytes()
    except OSError as error:
        raise IdentityFileError(f"{path}: {error.strerror}") from None
    except IdentityFileError as error:
        raise IdentityFileError(f"{path} {error}") from None
    key = _load(path, data)

    def sign(message: bytes) -> str:
        return base64.b64encode(_sshsig(key, message)).decode()

    return sign


def _load(path: Path, data: bytes) -> Ed25519PrivateKey:
    try:
        key = load_ssh_private_key(data, None)
    except TypeError:
        # cryptography's way to say so.
        raise IdentityFileError(f"{path} is protected by a passphrase, and nobody is there to type it: ssh-keygen -p") from None
    except (ValueError, UnsupportedAlgorithm):
        # Not chained: the exception may hold the file's bytes.
        raise IdentityFileError(f"{path} is no OpenSSH private key: {MAKE}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityFileError(f"{path} is a key of another kind: {MAKE}")
    return key


def _sshsig(key: Ed25519PrivateKey, message: bytes) -> bytes:
    namespace, nothing, name = NAMESPACE.encode(), b"", HASH.encode()
    digest = hashlib.new(HASH, message).digest()
    signed = MAGIC[:6] + b"".join(map(_string, (namespace, nothing, name, digest)))
    public = _string(KIND) + _string(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    signature = _string(KIND) + _string(key.sign(signed))
    return MAGIC + b"".join(map(_string, (public, namespace, nothing, name, signature)))


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(LENGTH, "big") + data
