"""A decryptor that asks for signatures, over a fake S3."""

from pathlib import Path
from typing import Any

import pyrage

from decryptor.keyring import Keyring
from decryptor.sender import Senders
from decryptor.signers import AllowedSigners
from decryptor.tasks import Bench, decrypt_item
from fakes.s3 import FakeS3, etag
from fakes.senders import ACME, metadata, public, signature, stated
from shared.contract import Declared, Decrypted, FileRef
from shared.datasets_file import DatasetsFile

BUCKET, KEY = "hikyaku-test", "incoming/orders/a.csv.gz.age"
IDENTITY = pyrage.x25519.Identity.generate()
FILE = pyrage.encrypt(b"id\n1\n", [IDENTITY.to_public()])
OTHER = pyrage.encrypt(b"id\n2\n", [IDENTITY.to_public()])
EVENT_TIME = "2026-11-12T00:00:00Z"
DECLARED = Declared(sender=ACME, seq=7, created_at="2026-11-12T08:59:00+09:00")


class Gate:
    """A decryptor that asks for signatures, and knows acme."""

    def __init__(self, folder: Path, keys: dict[str, Path]) -> None:
        self.keys, self.folder = keys, folder
        self.s3, self.spool = FakeS3(), folder / "spool"
        self.spool.mkdir()
        (folder / "identities").mkdir(0o700)
        (folder / "identities" / "2026.txt").touch(0o600)
        (folder / "identities" / "2026.txt").write_text(str(IDENTITY))
        self.configure("")
        self.know(f"{ACME} {public(keys['acme'])}")

    def configure(self, toml: str, max_age: int | None = None) -> None:
        (self.folder / "datasets.toml").write_text(toml)
        self.max_age = max_age

    def know(self, *lines: str) -> None:
        (self.folder / "allowed_signers").write_text("".join(f"{line}\n" for line in lines))

    def senders(self) -> Senders:
        signers = AllowedSigners(self.folder / "allowed_signers")
        return Senders(DatasetsFile(self.folder / "datasets.toml"), signers, self.max_age)

    def put(self, said: dict[str, str], data: bytes = FILE, *, key: str = KEY, announced: str = "", **answer: Any) -> FileRef:
        """Store an object with this metadata."""
        self.version = self.s3.put(BUCKET, key, "v1", data, Metadata=said, **answer)
        return FileRef(
            bucket=BUCKET,
            key=announced or key,
            version_id="v1",
            etag=etag(data),
            size=len(data),
            event_time=EVENT_TIME,
            received_at=EVENT_TIME,
            message_id="m",
        )

    def bench(self, **more: Any) -> Bench:
        keyring = Keyring(self.folder / "identities")
        return Bench(lambda: self.s3, keyring, self.spool, self.senders(), lambda _: None, **more)

    def take(self, said: dict[str, str], data: bytes = FILE, **how: Any) -> Decrypted:
        """What becomes of an object with this metadata."""
        return decrypt_item(self.bench(), self.put(said, data, **how))

    def signed(self, manifest: bytes | None = None, *, by: str = "acme", namespace: str = "hikyaku", **changes: Any) -> dict[str, str]:
        manifest = manifest or stated(FILE, **changes)
        return metadata(manifest, signature(manifest, self.keys[by], namespace))

    def code(self, said: dict[str, str], data: bytes = FILE, **how: Any) -> str:
        """Of a refusal, which must be final and leave nothing."""
        problem = self.take(said, data, **how).problem
        assert problem is not None
        assert not problem.retry
        assert list(self.spool.iterdir()) == []
        return problem.error_code


def taken(item: Decrypted) -> tuple[str | None, Declared | None]:
    assert item.problem is None, item.problem
    return item.signer, item.declared
