"""From `hikyaku send --split` to the table: what the command puts in the bucket, the decryptor opens and the loader puts together."""

import csv
import random
from collections import Counter
from pathlib import Path
from typing import IO, Any

import pyrage
import pytest
from rich.progress import Progress

from decryptor.keyring import Keyring
from decryptor.tasks import Bench, decrypt_item
from fakes.s3 import FakeS3, etag
from fakes.welcome import anyone
from hikyaku.manifest import Voucher
from hikyaku.parcel import Recipient
from hikyaku.sending.courier import Courier
from hikyaku.sending.destination import Destination
from hikyaku.sending.sealer import Age
from hikyaku.sequence import Sequence
from hikyaku.split import Splitting
from integration.loader_fixture import Desk
from shared.contract import Decrypted, FileRef

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

SEED = 20261125
ROWS = [(number, f'row "{number}",\nof two lines ソ') for number in range(500)]


class Way:
    """Bucket, decryptor and loader."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk, self.s3, self.folder = desk, FakeS3(), folder
        self.events: list[FileRef] = []
        identity = pyrage.x25519.Identity.generate()
        self.recipients: list[Recipient] = [identity.to_public()]
        (folder / "identities").mkdir(0o700)
        (folder / "identities" / "2026.txt").touch(0o600)
        (folder / "identities" / "2026.txt").write_text(str(identity))
        self.bench = Bench(lambda: self.s3, Keyring(folder / "identities"), desk.folder / "spool", anyone(folder / "sent.toml"))

    def put(self, ciphertext: IO[bytes], bucket: str, key: str, *, metadata: dict[str, str], **_: Any) -> str:
        data = ciphertext.read()
        event = self.desk.file(key, bucket=bucket, size=len(data), etag=etag(data))
        self.s3.put(bucket, key, event.version_id, data, Metadata=metadata)
        self.events.append(event)
        return event.version_id

    def send(self, encoding: str = "cp932") -> list[FileRef]:
        """The events of the parts of one file."""
        file = self.folder / "rows.csv"
        with file.open("w", encoding=encoding, newline="") as target:
            csv.writer(target).writerows([("id", "v"), *ROWS])
        voucher = Voucher("acme", None, Sequence(self.folder / "state" / "sequences.json"))
        self.events.clear()
        with Progress(disable=True) as progress:
            to = Destination("inbox", "incoming/stock/")
            list(Courier(self, to, Age(self.recipients), progress, voucher).send_parts(file, Splitting(2000)))
        return list(self.events)

    def decrypt(self, event: FileRef) -> Decrypted:
        return decrypt_item(self.bench, event)


@pytest.fixture
def way(desk: Desk, tmp_path: Path) -> Way:
    with desk.database.connect("hikyaku_migrator") as migrator:
        migrator.execute("TRUNCATE hikyaku.groups CASCADE")
    desk.table("stock (id int PRIMARY KEY, v text)")
    desk.configure('[datasets.stock]\nencoding = "cp932"\n')
    return Way(desk, tmp_path)


def test_a_file_that_was_cut_is_in_the_table_once_and_whole(way: Way) -> None:
    events = way.send() + way.send()
    random.Random(SEED).shuffle(events)
    ends = Counter(way.desk.loader.settle(way.decrypt(event)).verdict for event in events)
    assert ends == {"done": len(events)}, f"seed {SEED}"
    assert way.desk.rows("SELECT id, v FROM stock ORDER BY id") == ROWS
    assert Counter(row[0] for row in way.desk.rows("SELECT status FROM hikyaku.files")) == {
        "loaded": len(events) // 2,
        "duplicate": len(events) // 2,
    }


def test_a_part_that_its_sender_spoiled_rejects_the_group(way: Way) -> None:
    events = way.send()
    way.recipients = [pyrage.x25519.Identity.generate().to_public()]
    spoiled = way.send()[1]
    assert way.desk.loader.settle(way.decrypt(events[0])).status == "staged"
    item = way.decrypt(spoiled)
    assert item.problem is not None
    assert item.declared is not None
    assert way.desk.loader.settle(item).error_code == "no_matching_identity"
    assert way.desk.loader.settle(way.decrypt(events[2])).error_code == "group_rejected"


def test_a_part_that_was_altered_on_its_way_does_the_group_no_harm(way: Way) -> None:
    events = way.send()
    good = way.s3.versions["inbox", events[1].key, events[1].version_id]
    assert good.data is not None
    altered = good.data[:-1] + bytes([good.data[-1] ^ 1])
    event = way.desk.file(events[1].key, size=len(altered), etag=etag(altered))
    way.s3.put("inbox", event.key, event.version_id, altered, Metadata=good.fields["Metadata"])
    item = way.decrypt(event)
    assert item.problem is not None
    assert item.declared is None
    assert way.desk.loader.settle(item).status == "rejected"
    ends = [way.desk.loader.settle(way.decrypt(each)).status for each in events]
    assert ends == ["staged"] * (len(events) - 1) + ["loaded"]
