"""`hikyaku send --split` as a command: what lies in the bucket afterwards, and what is said of it."""

import base64
import csv
import gzip
import hashlib
import io
from pathlib import Path
from typing import Any

import pyrage
import pytest
from typer.testing import CliRunner

from fakes.bucket import Bucket
from hikyaku import split
from hikyaku.app import app
from hikyaku.errors import UserError
from hikyaku.split import parse_size
from shared import manifest
from shared.manifest import Manifest

BUCKET = "acme-in"
IDENTITY = pyrage.x25519.Identity.generate()
ROWS = [[str(number), f'row "{number}",\nof two lines'] for number in range(200)]


class Opened(Bucket):
    """What was uploaded, decrypted: the newest of each key."""

    def opened(self) -> dict[str, tuple[bytes, Manifest]]:
        return {key: self._open(key, data, params) for key, data, params in self.got}

    def parts(self) -> list[tuple[bytes, Manifest]]:
        found = self.opened()
        return [found[key] for key in sorted(found)]

    def _open(self, key: str, data: bytes, params: dict[str, Any]) -> tuple[bytes, Manifest]:
        said = Manifest.read(base64.b64decode(params["Metadata"][manifest.METADATA]))
        assert (said.key, said.sha256) == (key, hashlib.sha256(data).hexdigest())
        return gzip.decompress(pyrage.decrypt(data, [IDENTITY])), said


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened().installed(monkeypatch, tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "2026-11.csv"
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["id", "v"], *ROWS])
    path.write_bytes(text.getvalue().encode())
    return path


def run(file: Path, *options: str, to: str = "incoming/orders/") -> Any:
    command = ["send", str(file), "--to", f"s3://{BUCKET}/{to}", "-r", str(IDENTITY.to_public()), *options]
    return CliRunner().invoke(app, command)


def refused(file: Path, *options: str) -> UserError:
    error = run(file, *options).exception
    assert isinstance(error, UserError)
    return error


def records(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


@pytest.mark.parametrize("packed", [False, True])
def test_parts_name_their_group_and_hold_the_file(bucket: Opened, file: Path, packed: bool) -> None:
    if packed:
        content = file.read_bytes()
        file = file.with_name("2026-11.csv.gz")
        file.write_bytes(gzip.compress(content))
    done = run(file, "--split", "2KB")
    assert done.exit_code == 0, done.output
    count = len(bucket.opened())
    assert count > 2
    assert list(bucket.opened()) == [f"incoming/orders/2026-11.part-{n:04}-of-{count:04}.csv.gz.age" for n in range(1, count + 1)]
    assert all(f"/{key} (" in done.output for key in bucket.opened())
    assert [(said.part, said.parts, said.seq) for _, said in bucket.parts()] == [(n, count, n) for n in range(1, count + 1)]
    assert len({said.group for _, said in bucket.parts()}) == 1
    assert [row for data, _ in bucket.parts() for row in records(data)[1:]] == ROWS
    assert all(records(data)[0] == ["id", "v"] for data, _ in bucket.parts())


def test_the_same_file_again_is_the_same_group(bucket: Opened, file: Path) -> None:
    run(file, "--split", "2KB")
    first = bucket.parts()
    run(file, "--split", "2KB")
    assert [(data, said.group, said.part) for data, said in bucket.parts()] == [(data, said.group, said.part) for data, said in first]
    run(file, "--split", "2KB", "--group", "once more")
    assert {said.group for _, said in bucket.parts()} == {"once more"}


def test_a_file_without_a_header(bucket: Opened, file: Path) -> None:
    run(file, "--split", "2KB", "--no-header")
    assert b"".join(data for data, _ in bucket.parts()) == file.read_bytes()


def test_a_file_that_fits_goes_whole(bucket: Opened, file: Path) -> None:
    run(file, "--split", "256MB")
    [(data, said)] = bucket.parts()
    assert list(bucket.opened()) == ["incoming/orders/2026-11.csv.gz.age"]
    assert (data, said.group) == (file.read_bytes(), None)


def test_parts_under_a_name_of_their_own(bucket: Opened, file: Path) -> None:
    run(file, "--split", "2KB", to="incoming/orders/x.csv.gz.age")
    assert all(key.startswith("incoming/orders/x.part-00") for key in bucket.opened())


@pytest.mark.parametrize("change", [lambda data: data + b"201,x\r\n", lambda data: data.replace(b"199", b"198"), lambda data: data[:-9]])
def test_the_last_part_of_a_file_that_changes_is_kept_back(bucket: Opened, file: Path, change: Any) -> None:
    data = file.read_bytes()
    bucket.before = lambda: file.write_bytes(change(data))
    assert "2026-11.csv changed while it was sent" in refused(file, "--split", "2KB").message
    said = bucket.parts()[0][1]
    assert said.parts is not None
    assert len(bucket.got) == said.parts - 1


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:99] + b"xxxxxxxx" + data[107:], lambda _: b"id,v\n1,a\n"])
def test_a_gzip_that_is_none_is_told(bucket: Opened, file: Path, damage: Any) -> None:
    packed = file.with_name("2026-11.csv.gz")
    packed.write_bytes(damage(gzip.compress(file.read_bytes())))
    assert refused(packed, "--split", "2KB").message == "2026-11.csv.gz is not gzip, or is damaged."
    assert bucket.got == []


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--split", "many"], "--split many"),
        (["--split", "0"], "--split 0"),
        (["--no-header"], "--no-header"),
        (["--group", "x"], "--group"),
        (["--split", "1KB", "--group", "a\nb"], "--group"),
    ],
)
def test_options_that_make_no_sense(bucket: Opened, file: Path, options: list[str], what: str) -> None:
    error = refused(file, *options)
    assert what in error.message
    assert error.exit_code == 2
    assert bucket.got == []


def test_a_group_of_several_files_is_refused(bucket: Opened, file: Path) -> None:
    assert "--group" in refused(file, str(file), "--split", "1KB", "--group", "x").message
    assert bucket.got == []


@pytest.mark.parametrize(("text", "size"), [("256MB", 256_000_000), ("64KiB", 65_536), ("1000", 1000), ("1.5 gib", 1_610_612_736)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_what_a_manifest_takes() -> None:
    assert split.MOST_PARTS == manifest.MOST_PARTS
