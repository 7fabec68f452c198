"""What is refused before a byte is fetched, and what turns out too large for the spool only while it is written."""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyrage
import pytest

from decryptor import caps, spool
from decryptor.caps import FLOOR, Caps
from decryptor.keyring import Keyring
from decryptor.tasks import Bench, decrypt_item
from fakes.s3 import FakeS3, etag
from fakes.welcome import anyone
from shared.contract import FileRef
from shared.datasets_file import DatasetsFile
from shared.errors import ErrorCode, Rejected, Retryable

MIB = 1024**2
GIB = 1024**3


def ref(size: int, key: str = "incoming/orders/a.csv.gz.age") -> FileRef:
    times = {"event_time": "2026-11-12T00:00:00Z", "received_at": "2026-11-12T00:00:01Z"}
    return FileRef.model_validate({"bucket": "b", "key": key, "version_id": "v", "size": size, "message_id": "m", **times})


@pytest.fixture
def datasets(tmp_path: Path) -> DatasetsFile:
    path = tmp_path / "datasets.toml"
    path.write_text("[datasets.small]\nmax_bytes = 1000\n")
    return DatasetsFile(path)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Any:
    def told(size: int) -> None:
        monkeypatch.setattr(caps, "room", lambda _: size)

    told(0)
    return told


def why_not(bounds: Caps, file: FileRef) -> str | None:
    try:
        bounds.admit(file)
    except Rejected as rejection:
        return rejection.message if rejection.error_code == ErrorCode.TOO_LARGE else rejection.error_code
    return None


def write(folder: Path, size: int, piece: int) -> None:
    """Spool a file."""
    with spool.attempt(folder, "f") as attempt:
        for _ in range(size // piece):
            attempt.write(bytes(piece))
        attempt.publish()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_an_object_above_the_setting_is_refused(datasets: DatasetsFile, room: Any, tmp_path: Path) -> None:
    bounds = Caps(tmp_path, datasets, max_file_bytes=1000)
    assert why_not(bounds, ref(1000)) is None
    assert why_not(bounds, ref(1001)) == (
        "the object has 1001 bytes, and HIKYAKU_MAX_FILE_BYTES allows 1000: send it in several files, or raise it and redrive it"
    )


@pytest.mark.parametrize("folder", ["small", "test/small"])
def test_an_object_much_larger_than_its_datasets_csv_may_be_is_refused(
    datasets: DatasetsFile, room: Any, tmp_path: Path, folder: str
) -> None:
    bounds, key = Caps(tmp_path, datasets), f"incoming/{folder}/a.csv.gz.age"
    assert why_not(bounds, ref(2 * 1000 + FLOOR, key)) is None
    assert "dataset small may have 1000 (max_bytes)" in str(why_not(bounds, ref(2 * 1000 + FLOOR + 1, key)))
    assert why_not(bounds, ref(100 * GIB)) is None


def test_an_object_that_the_empty_spool_could_not_hold_is_refused(datasets: DatasetsFile, room: Any, tmp_path: Path) -> None:
    room(100 * MIB)
    bounds = Caps(tmp_path, datasets)
    assert why_not(bounds, ref(len(pyrage.encrypt(bytes(100 * MIB), [pyrage.x25519.Identity.generate().to_public()])))) is None
    assert "the whole spool holds 104857600" in str(why_not(bounds, ref(101 * MIB)))
    assert why_not(bounds, ref(101 * MIB, "incoming/orders/a.csv.gz.gpg")) is None, "armor makes it a third larger"
    room(0)
    assert why_not(bounds, ref(101 * MIB)) is None, "a tmpfs without a size"


def test_a_spool_that_is_gone_refuses_nothing(datasets: DatasetsFile, tmp_path: Path) -> None:
    assert why_not(Caps(tmp_path / "none", datasets), ref(10 * GIB)) is None


def test_nothing_is_fetched_of_what_is_too_large(datasets: DatasetsFile, tmp_path: Path) -> None:
    """Its metadata is looked at: it may be a part, whose group is to know."""
    s3, file = FakeS3(), ref(11)
    version = s3.put(file.bucket, file.key, "v", bytes(11))
    bench = Bench(lambda: s3, Keyring(tmp_path), tmp_path, anyone(tmp_path / "any.toml"), admit=Caps(tmp_path, datasets, 10).admit)
    problem = decrypt_item(bench, file).problem
    assert problem is not None
    assert (problem.error_code, problem.retry) == (ErrorCode.TOO_LARGE, False)
    assert [wire.given for wire in version.wires] == [0]


# A real tmpfs


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A spool of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_the_room_of_a_tmpfs_is_its_size(tiny: Path) -> None:
    assert caps.room(tiny) == 64 * 1024


@pytest.mark.parametrize("piece", [1000, 100_000])
def test_what_is_larger_than_the_whole_spool_is_not_tried_again(tiny: Path, piece: int) -> None:
    with pytest.raises(Rejected) as caught:
        write(tiny, 100_000, piece)
    assert caught.value.error_code == ErrorCode.TOO_LARGE
    assert "larger than the whole spool, 65536 bytes" in caught.value.message
    assert names(tiny) == []


def test_what_fits_once_others_are_gone_is_tried_again(tiny: Path) -> None:
    (tiny / "another.csv.gz").write_bytes(bytes(30_000))
    with pytest.raises(Retryable) as caught:
        write(tiny, 50_000, 1000)
    assert caught.value.error_code == ErrorCode.SPOOL_UNAVAILABLE
    (tiny / "another.csv.gz").unlink()
    write(tiny, 50_000, 1000)
    assert names(tiny) == ["f.csv.gz"]


def test_a_spool_that_vanishes_in_mid_file_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OSError among the bytes of a body would be taken for a damaged file."""

    def full(_: bytes) -> int:
        folder.rmdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = tmp_path / "spool"
    folder.mkdir()
    with spool.attempt(folder, "f") as attempt:
        next(folder.iterdir()).unlink()
        monkeypatch.setattr(attempt, "_file", SimpleNamespace(write=full))
        with pytest.raises(Retryable):
            attempt.write(b"x")


def test_a_file_whose_compressed_ciphertext_hid_its_size_leaves_nothing(tiny: Path, datasets: DatasetsFile) -> None:
    """As an object that its event makes smaller than the spool, and whose plaintext is larger."""
    identity = pyrage.x25519.Identity.generate()
    identities = tiny.parent / "identities"
    identities.mkdir()
    (identities / "courier.txt").touch(0o600)
    (identities / "courier.txt").write_text(str(identity))
    data = pyrage.encrypt(bytes(70_000), [identity.to_public()])
    s3 = FakeS3()
    s3.put("b", "incoming/orders/a.csv.gz.age", "v", data)
    bench = Bench(lambda: s3, Keyring(identities), tiny, anyone(tiny.parent / "any.toml"), admit=Caps(tiny, datasets).admit)
    problem = decrypt_item(bench, ref(len(data)).model_copy(update={"etag": etag(data)})).problem
    assert problem is not None
    assert (problem.error_code, problem.retry, len(s3.requests)) == (ErrorCode.TOO_LARGE, False, 1)
    assert names(tiny) == []
