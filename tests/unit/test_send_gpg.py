"""`hikyaku send --gpg`: what lies in the bucket is what the receiver's gpg opens, and what the decryptor takes."""

import base64
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import fakes.bucket
from fakes.gpg import People, Person, needs_gpg, person
from fakes.gpg_gate import GpgGate
from hikyaku import gpg
from hikyaku.app import app
from hikyaku.errors import UserError
from hikyaku.gpg import Gpg
from hikyaku.split import part_key
from shared import manifest
from shared.manifest import Manifest

pytestmark = needs_gpg

CSV = "id,item\n1,座布団\n"


class Bucket(fakes.bucket.Bucket):
    """Takes uploads."""

    @property
    def parcels(self) -> dict[str, tuple[bytes, Manifest]]:
        """By key: the bytes, and what their sender says of them."""
        return {key: (body, Manifest.read(base64.b64decode(params["Metadata"][manifest.METADATA]))) for key, body, params in self.got}


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return Bucket().installed(monkeypatch, tmp_path)


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    """Whoever runs the command; his gpg works by today's clock."""
    with person("sender", at="20200101T000000") as somebody:
        monkeypatch.setenv("GNUPGHOME", str(somebody.home))
        yield somebody


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Person]:
    with person("receiver", at="20200101T000000") as somebody:
        (tmp_path / "host.asc").write_bytes(somebody.public())
        yield somebody


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "2026-11.csv"
    path.write_text(CSV)
    return path


def run(*arguments: Any) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["send", *map(str, arguments), "--to", "s3://acme-in/incoming/orders/"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        assert isinstance(done.exception, UserError), done.exception
        return done.exception.exit_code, "\n".join(done.exception.lines())
    return done.exit_code, done.output


def opened(host: Person, message: bytes) -> bytes:
    return host.gpg("--skip-verify", "--decrypt", data=message, at="21000101T000000", passphrase=())


def test_a_file_is_packed_encrypted_and_signed(bucket: Bucket, file: Path, sender: Person, host: Person, tmp_path: Path) -> None:
    code, output = run(file, "--gpg", tmp_path / "host.asc", "--gpg-sign", sender.fingerprint)
    assert (code, "sent 2026-11.csv" in output) == (0, True)
    [(key, (message, said))] = bucket.parcels.items()
    assert key == said.key == "incoming/orders/2026-11.csv.gz.gpg"
    assert gzip.decompress(opened(host, message)).decode() == CSV
    host.gpg("--import", data=sender.public())
    status = host.gpg("--status-fd", "1", "--output", os.devnull, "--yes", "--decrypt", data=message, at="21000101T000000", passphrase=())
    assert f"VALIDSIG {sender.fingerprint}" in status.decode()


def test_a_fingerprint_names_a_key_of_the_senders_own(bucket: Bucket, file: Path, sender: Person, host: Person) -> None:
    assert "No public key" in run(file, "--gpg", host.fingerprint)[1]
    sender.gpg("--import", data=host.public())
    spaced = " ".join(host.fingerprint[at : at + 4] for at in range(0, 40, 4)).lower()
    for spelled in (host.fingerprint, f"0x{host.fingerprint}", spaced):
        assert run(file, "--gpg", spelled)[0] == 0
    [(message, _)] = bucket.parcels.values()
    assert gzip.decompress(opened(host, message)).decode() == CSV


def test_what_can_not_be_used_is_told_before_anything_is_sent(
    bucket: Bucket, file: Path, sender: Person, host: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path = file.parent
    (tmp_path / "no.asc").write_text("no key")
    key = tmp_path / "host.asc"
    wrong = {
        "neither a file nor a fingerprint": ("--gpg", "host@example.com"),
        "use the key": ("--gpg", tmp_path / "no.asc"),
        "No secret key": ("--gpg", key, "--gpg-sign", host.fingerprint),
        "--gpg-sign goes with --gpg": ("--gpg-sign", sender.fingerprint, "-r", "age1x"),
        "don't go together": ("--gpg", key, "-r", "age1x"),
        "needs --sign too": ("--gpg", key, "--gpg-sign", sender.fingerprint, "--split", "1MB"),
    }
    for what, arguments in wrong.items():
        code, output = run(file, *arguments)
        assert (code, what in output) == (2, True), output
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        code, output = run(file, "--gpg", key)
    assert (code, "gpg is not here" in output) == (2, True)
    assert bucket.parcels == {}


def test_parts_have_the_suffix_too(bucket: Bucket, tmp_path: Path, sender: Person, host: Person) -> None:
    large = tmp_path / "large.csv"
    large.write_text("id,item\n" + "1,x\n" * 1000)
    assert run(large, "--gpg", tmp_path / "host.asc", "--split", "2KB")[0] == 0
    assert sorted(bucket.parcels) == [f"incoming/orders/large.part-{n:04}-of-0003.csv.gz.gpg" for n in (1, 2, 3)]
    assert b"".join(gzip.decompress(opened(host, bucket.parcels[key][0])) for key in sorted(bucket.parcels)).count(b"1,x") == 1000


def test_the_names_of_parts() -> None:
    assert part_key("incoming/o/a.csv.gz.age", 1, 12) == "incoming/o/a.part-0001-of-0012.csv.gz.age"
    assert part_key("incoming/o/a.csv.gz.csv.gz.gpg", 1, 2) == "incoming/o/a.csv.gz.part-0001-of-0002.csv.gz.gpg"


class Failing:
    """A source or a target."""

    def read(self, _size: int) -> bytes:
        raise OSError(5, "Input/output error")

    def write(self, _data: bytes) -> int:
        raise OSError(28, "No space left on device")


class Endless:
    def read(self, size: int) -> bytes:
        return bytes(size)


class Collected(bytearray):
    def write(self, data: bytes) -> int:
        self += data
        return len(data)


def test_a_failure_on_either_side_ends_gpg(host: Person, sender: Person, tmp_path: Path) -> None:
    cipher = Gpg(("--recipient-file", str(tmp_path / "host.asc")))
    with pytest.raises(OSError, match="Input/output"):
        cipher.encrypt(Failing(), Collected())
    with pytest.raises(OSError, match="No space left"):
        cipher.encrypt(Endless(), Failing())


def test_gpgs_own_failure_is_told(sender: Person, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gpg does not encrypt or sign: .*absent"):
        Gpg(("--recipient-file", str(tmp_path / "absent"))).encrypt(Endless(), Collected())


def test_the_decryptor_takes_it(gpg_gate: GpgGate, gpg_people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both halves together, by the sender's clock."""
    with person("today", at="20200101T000000") as host, person("sender", at="20200101T000000") as sender:
        (gpg_gate.folder / "today.pub").write_bytes(host.public())
        gpg_gate.hold("today.asc", host.secret())
        gpg_gate.know("sender@example.com", sender.public())
        monkeypatch.setenv("GNUPGHOME", str(sender.home))
        cipher = gpg.chosen(str(gpg_gate.folder / "today.pub"), sender.fingerprint, age=False, parts_unsigned=False)
        assert cipher is not None
        message = Collected()
        with (gpg_gate.folder / "today.pub").open("rb") as source:
            cipher.encrypt(source, message)
        content, item = gpg_gate.opened(bytes(message), event_time="2100-01-01T00:00:00Z")
    assert content == (gpg_gate.folder / "today.pub").read_bytes()
    assert item.signer == sender.fingerprint
