"""A sender's own side of a signature: keys that ssh-keygen makes, manifests, and what signs them. Nothing of the product is used."""

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

ACME = "acme@example.com"


def make_key(path: Path, kind: str = "ed25519", *, comment: str = ACME, locked: bool = False, bits: int = 0) -> Path:
    """A new key pair; returns the private key's path. One that is locked has a passphrase."""
    size = ["-b", str(bits)] if bits else []
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *size, "-N", "long enough" if locked else "", "-C", comment, "-f", str(path)], check=True
    )
    return path


def public(key: Path) -> str:
    """Type and key as a line of allowed_signers has them, without the comment."""
    return " ".join(key.with_name(f"{key.name}.pub").read_text().split()[:2])


def signature(manifest: bytes, key: Path, namespace: str = "hikyaku", *options: str) -> bytes:
    """The SSHSIG blob that `ssh-keygen -Y sign` makes, less its armor."""
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key), *options]
    done = subprocess.run(command, input=manifest, capture_output=True, check=True)
    return base64.b64decode(b"".join(line for line in done.stdout.splitlines() if not line.startswith(b"-----")))


def stated(data: bytes, **changes: Any) -> bytes:
    """A manifest of this ciphertext, as the sender would write it."""
    said = {
        "v": 1,
        "sender": ACME,
        "bucket": "hikyaku-test",
        "key": "incoming/orders/a.csv.gz.age",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "seq": 7,
        "created_at": "2026-11-12T08:59:00+09:00",
    }
    return json.dumps({name: value for name, value in {**said, **changes}.items() if value is not None}).encode()


def metadata(manifest: bytes, blob: bytes | None = None) -> dict[str, str]:
    """Both as S3 keeps them."""
    both = {"hikyaku-manifest": manifest, **({} if blob is None else {"hikyaku-signature": blob})}
    return {name: base64.b64encode(value).decode() for name, value in both.items()}


def verifies(manifest: bytes, blob: bytes, signers: Path, sender: str = ACME, namespace: str = "hikyaku") -> bool:
    """Whether OpenSSH itself takes the signature."""
    armored = base64.encodebytes(blob).decode()
    path = signers.with_suffix(".sig")
    path.write_text(f"-----BEGIN SSH SIGNATURE-----\n{armored}-----END SSH SIGNATURE-----\n")
    command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", sender, "-n", namespace, "-s", str(path)]
    return subprocess.run(command, input=manifest, capture_output=True, check=False, env={**os.environ, "TZ": "UTC"}).returncode == 0
