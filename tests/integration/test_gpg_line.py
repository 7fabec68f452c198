"""OpenPGP files through the whole line: sent by our own command, and by gpg and any S3 client."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from line import Line, Put, eventually, gzipped

from fakes.gpg import Person, needs_gpg, person

pytestmark = needs_gpg

LONG_AGO = "20200101T000000"
"""The line takes files by today's clock."""
ORDERS = "id int PRIMARY KEY, item text, qty int"
CSV = "id,item,qty\n1,座布団,5\n"
ACME = "acme@example.com"


@pytest.fixture(scope="module")
def acme() -> Iterator[Person]:
    with person("acme", at=LONG_AGO) as somebody:
        yield somebody


@pytest.fixture(scope="module")
def host(shared_line: Line) -> Iterator[Person]:
    """Its secret key is in the keyring of the stack that runs already."""
    with person("host", at=LONG_AGO) as somebody:
        path = shared_line.folder / "secrets" / "identities" / "openpgp.asc"
        path.touch(0o600)
        path.write_bytes(somebody.secret())
        (shared_line.folder / "host.pub").write_bytes(somebody.public())
        yield somebody
        path.unlink()


@pytest.fixture
def orders(line: Line, acme: Person, host: Person) -> str:
    """A dataset that asks for a signature, of acme's key."""
    folder = line.folder / "openpgp_senders"
    folder.mkdir(exist_ok=True)
    (folder / f"{ACME}.asc").write_bytes(acme.public())
    table = line.table(ORDERS)
    line.configure(f'[datasets.{table}]\nsignature = "required"\nsenders = "{ACME}"\n')
    return table


def hikyaku_send(line: Line, acme: Person, folder: Path, dataset: str, *options: str) -> Put:
    file = folder / f"{uuid4().hex}.csv"
    file.write_text(CSV)
    to = f"s3://{line.bucket}/incoming/{dataset}/"
    command = [sys.executable, "-m", "hikyaku", "send", str(file), "--to", to, "--gpg", str(line.folder / "host.pub"), *options]
    environment = os.environ | line.endpoints | {"XDG_STATE_HOME": str(folder / "state"), "GNUPGHOME": str(acme.home)}
    subprocess.run(command, check=True, env=environment, timeout=60, stdin=subprocess.DEVNULL)
    key = f"incoming/{dataset}/{file.stem}.csv.gz.gpg"
    head = line.s3.head_object(Bucket=line.bucket, Key=key)
    return Put(key, head["VersionId"], head["ETag"].strip('"'), head["ContentLength"])


def test_a_signed_file_loads_and_the_ledger_names_both_keys(line: Line, tmp_path: Path, acme: Person, host: Person, orders: str) -> None:
    row = line.fate(hikyaku_send(line, acme, tmp_path, orders, "--gpg-sign", acme.fingerprint))
    assert (row["status"], row["signer"], row["recipient_identity"], row["error"]) == ("loaded", acme.fingerprint, host.fingerprint, None)
    assert line.sql(f"SELECT * FROM {orders}") == [{"id": 1, "item": "座布団", "qty": 5}]


def test_an_unsigned_file_is_in_the_dead_letter_queue(line: Line, tmp_path: Path, acme: Person, orders: str) -> None:
    put = hikyaku_send(line, acme, tmp_path, orders)
    row = line.fate(put)
    assert (row["status"], row["error_code"], row["signer"]) == ("rejected", "signature_missing", None)
    eventually(lambda: line.dead_letters() == {put.key: "signature_missing"}, what="the message is in the dead-letter queue")
    assert line.sql(f"SELECT * FROM {orders}") == []


def test_a_sender_with_nothing_but_gpg(line: Line, acme: Person, host: Person, orders: str) -> None:
    sealed = acme.seal(gzipped(CSV.encode()), line.folder / "host.pub", options=("--throw-keyids",), at=LONG_AGO)
    row = line.fate(line.put(f"incoming/{orders}/by-hand.csv.gz.gpg", sealed))
    assert (row["status"], row["signer"], row["rows_loaded"]) == ("loaded", acme.fingerprint, 1)
    tampered = bytearray(sealed)
    tampered[-1] ^= 1
    row = line.fate(line.put(f"incoming/{orders}/tampered.csv.gz.gpg", bytes(tampered)))
    assert (row["status"], row["error_code"]) == ("rejected", "ciphertext_corrupt")


def test_no_process_and_no_home_is_left(line: Line, acme: Person, host: Person, orders: str) -> None:
    sealed = acme.seal(gzipped(CSV.encode()), line.folder / "host.pub", at=LONG_AGO)
    line.fate(line.put(f"incoming/{orders}/last.csv.gz.gpg", sealed))
    homes = [path for path in Path("/dev/shm").glob("hikyaku-gnupg-*") if path.stat().st_uid == os.geteuid()]  # noqa: S108
    eventually(lambda: not [path for path in homes if path.exists()], what="gpg's homes are gone")
