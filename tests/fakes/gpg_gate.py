"""A decryptor with an OpenPGP key, over a fake S3, and the people who send to it."""

from pathlib import Path
from typing import Any

from decryptor.gnupg import PREFIX, Gnupg
from decryptor.keyring import Keyring
from decryptor.openpgp import OpenPgp
from decryptor.openpgp_senders import OpenPgpSenders
from decryptor.sender import Senders
from decryptor.signers import AllowedSigners
from decryptor.tasks import Bench, decrypt_item
from fakes.gpg import People
from fakes.s3 import FakeS3, etag
from shared.contract import Decrypted, FileRef
from shared.datasets_file import DatasetsFile
from shared.spool import published

BUCKET, KEY = "hikyaku-test", "incoming/orders/a.csv.gz.gpg"
EVENT_TIME = "2026-11-12T00:00:00Z"
ACME = "acme@example.com"


class GpgGate:
    """A decryptor that asks for signatures, and knows acme."""

    def __init__(self, folder: Path, place: Path, people: People) -> None:
        self.folder, self.place, self.people = folder, place, people
        self.s3, self.spool = FakeS3(), folder / "spool"
        for name in ("spool", "identities", "senders"):
            (folder / name).mkdir(0o700)
        self.host = people.host.card
        self.hold("host.asc", people.host.secret())
        self.know(ACME, people.acme.public())
        self.configure("")
        self.gnupg = Gnupg(place, on_disk=True)
        self.build()

    def build(self, max_age: int | None = None) -> None:
        """A decryptor that starts now."""
        datasets = DatasetsFile(self.folder / "datasets.toml")
        keyring = Keyring(self.folder / "identities", self.gnupg)
        senders = OpenPgpSenders(self.folder / "senders", self.gnupg)
        known = Senders(datasets, AllowedSigners(self.folder / "allowed_signers"), max_age)
        self.openpgp = OpenPgp(keyring, self.gnupg, senders, datasets, max_age)
        self.bench = Bench(lambda: self.s3, keyring, self.spool, known, lambda _: None, openpgp=self.openpgp)

    def hold(self, name: str, key: bytes) -> Path:
        path = self.folder / "identities" / name
        path.touch(0o600)
        path.write_bytes(key)
        return path

    def know(self, name: str, key: bytes) -> Path:
        path = self.folder / "senders" / f"{name}.asc"
        path.write_bytes(key)
        return path

    def configure(self, toml: str) -> None:
        (self.folder / "datasets.toml").write_text(toml)

    def seal(self, data: bytes, **how: Any) -> bytes:
        """A message of acme's to the host."""
        return self.people.seal(data, **how)

    def take(self, data: bytes, *, key: str = KEY, event_time: str = EVENT_TIME, said: dict[str, str] | None = None) -> Decrypted:
        """What becomes of an object."""
        self.version = self.s3.put(BUCKET, key, "v1", data, Metadata=said or {})
        times = {"event_time": event_time, "received_at": event_time, "message_id": "m"}
        self.file = FileRef.model_validate(
            {"bucket": BUCKET, "key": key, "version_id": "v1", "etag": etag(data), "size": len(data)} | times
        )
        item = decrypt_item(self.bench, self.file)
        assert self.homes() == []
        return item

    def opened(self, data: bytes, **how: Any) -> tuple[bytes, Decrypted]:
        """Content and outcome of a good one."""
        item = self.take(data, **how)
        assert item.problem is None, item.problem
        path = published(self.spool, self.file.file_id)
        content = path.read_bytes()
        path.unlink()
        return content, item

    def code(self, data: bytes, *, retry: bool = False, **how: Any) -> str:
        """Of a refusal, which leaves nothing."""
        problem = self.take(data, **how).problem
        assert problem is not None
        assert problem.retry is retry, problem
        assert list(self.spool.iterdir()) == []
        return problem.error_code

    def homes(self) -> list[str]:
        return [path.name for path in self.place.glob(f"{PREFIX}*")]
