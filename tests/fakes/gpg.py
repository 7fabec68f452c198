"""A sender's own gpg, and the host's key: homes, keys and messages that the real program makes. Nothing of the product is used.

Keys are made, and files signed, at times of 2026 that the tests choose, so that they stay true on any day.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

MADE, SIGNED = "20261101T000000", "20261110T000000"
REQUIRED = os.environ.get("HIKYAKU_TEST_GPG") == "required"
ABSENT = not REQUIRED and shutil.which("gpg") is None
"""What needs gpg is left out."""
needs_gpg = pytest.mark.skipif(ABSENT, reason="gpg is not installed (HIKYAKU_TEST_GPG=required: fail)")


@dataclass(frozen=True)
class Person:
    """Somebody with a GNUPGHOME."""

    home: Path
    fingerprint: str = ""
    signs_at: str = SIGNED
    """What it takes for the time, unless told."""

    def gpg(self, *arguments: str, data: bytes = b"", at: str = "", passphrase: tuple[str, ...] = ("--passphrase", "")) -> bytes:
        """What gpg prints."""
        command = ["gpg", "--homedir", str(self.home), "--no-options", "--batch", "--no-tty", "--quiet", "--trust-model", "always"]
        command += ["--pinentry-mode", "loopback", *passphrase, "--faked-system-time", f"{at or self.signs_at}!", *arguments]
        done = subprocess.run(command, input=data, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"}, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    @property
    def card(self) -> Path:
        """A file with the public key."""
        return self.home / "card.asc"

    def listed(self, kind: str) -> str:
        """The tenth field of the first such line of the listing."""
        lines = self.gpg("--list-keys", "--with-colons").decode().splitlines()
        return next(line.split(":")[9] for line in lines if line.startswith(kind))

    def public(self) -> bytes:
        """Armored."""
        return self.gpg("--armor", "--export", self.fingerprint)

    def secret(self) -> bytes:
        """Armored."""
        return self.gpg("--armor", "--export-secret-keys", self.fingerprint, passphrase=())

    def seal(self, data: bytes, *to: Path, sign: bool = True, options: tuple[str, ...] = (), at: str = "") -> bytes:
        """A message to the keys in these files."""
        recipients = [word for path in to for word in ("--recipient-file", str(path))]
        signing = ["--local-user", self.fingerprint, "--sign"] if sign else []
        return self.gpg(*options, *recipients, *signing, "--encrypt", data=data, at=at)


@contextmanager
def person(name: str, kind: str = "future-default", *, expires: str = "never", at: str = MADE, signs_at: str = SIGNED) -> Iterator[Person]:
    """A new home with a key; its agent ends with it."""
    # Not in pytest's folder: a socket's path is short.
    with TemporaryDirectory(prefix="gpg-") as folder:
        nobody = Person(Path(folder), signs_at=signs_at)
        try:
            nobody.gpg("--quick-gen-key", f"{name} <{name}@example.com>", kind, "default", expires, at=at)
            somebody = Person(nobody.home, nobody.listed("fpr"), signs_at)
            if kind != "future-default":
                somebody.gpg("--quick-add-key", somebody.fingerprint, kind, "encr", expires, at=at)
            somebody.card.write_bytes(somebody.public())
            yield somebody
        finally:
            for last in (["--kill", "gpg-agent"], ["--remove-socketdir"]):
                subprocess.run(["gpgconf", "--homedir", folder, *last], check=False, capture_output=True)


@dataclass(frozen=True)
class People:
    """A host, a sender whom it knows, and one whom it does not."""

    host: Person
    acme: Person
    stranger: Person

    def seal(self, data: bytes, **how: Any) -> bytes:
        """A message of acme's to the host."""
        return self.acme.seal(data, self.host.card, **how)


@contextmanager
def people(at: str = MADE, signs_at: str = SIGNED) -> Iterator[People]:
    """All of them, while it lasts."""
    with ExitStack() as stack:
        yield People(*(stack.enter_context(person(name, at=at, signs_at=signs_at)) for name in ("host", "acme", "stranger")))
