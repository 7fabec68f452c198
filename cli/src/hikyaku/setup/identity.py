"""age identities in the format of age-keygen(1)."""

from datetime import UTC, datetime

import pyrage

_SECRET = "AGE-SECRET-KEY-1"  # noqa: S105 - how a key begins


def new() -> str:
    """Text of a new identity file."""
    identity = pyrage.x25519.Identity.generate()
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"# created: {created}\n# public key: {identity.to_public()}\n{identity}\n"


def recipients(text: str) -> list[str]:
    """Public keys (age1…) of a file's identities; a damaged one and an OpenSSH key have none."""
    lines = [line.strip() for line in text.splitlines()]
    return [found for line in lines if line.startswith(_SECRET) and (found := _recipient(line))]


def _recipient(secret: str) -> str:
    try:
        return str(pyrage.x25519.Identity.from_str(secret).to_public())
    except pyrage.IdentityError:
        return ""
