"""`hikyaku send -`: the CSV comes on standard input."""

import _thread
import gzip
import io
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest
from rich.console import Console
from typer.testing import CliRunner

from fakes.bucket import Bucket
from hikyaku.app import app
from hikyaku.errors import UserError
from hikyaku.parcel import CHUNK
from hikyaku.sending.progress import progress_bars

IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
FOLDER = "s3://acme-in/incoming/orders/"
FILE = f"{FOLDER}2026-11.csv.gz.age"
CSV = "id,item\n1,座布団\n".encode()


@pytest.fixture(autouse=True)
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return Bucket().installed(monkeypatch, tmp_path)


def send(data: bytes | Any, *options: str, to: str = FILE) -> Any:
    return CliRunner().invoke(app, ["send", "-", "--to", to, "-r", RECIPIENT, *options], input=data)


def opened(bucket: Bucket) -> bytes:
    [(_, data, _)] = bucket.got
    return gzip.decompress(pyrage.decrypt(data, [IDENTITY]))


@pytest.mark.parametrize("data", [CSV, CSV * CHUNK], ids=["small", "of several pieces"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_comes_is_what_lies_there(bucket: Bucket, data: bytes, packed: bool) -> None:
    done = send(gzip.compress(data, 1) if packed else data)
    assert done.exit_code == 0, done.output
    assert opened(bucket) == data
    assert done.output.startswith(f"sent standard input to {FILE} (")


def test_a_script_is_told_the_same(bucket: Bucket) -> None:
    said = json.loads(send(CSV, "--json").output)
    assert (said["file"], said["key"]) == ("standard input", bucket.got[0][0])


@pytest.mark.parametrize(
    ("to", "options", "what"),
    [
        (FOLDER, [], "standard input has no name"),
        (FOLDER, ["/dev/null"], "standard input has no name"),
        (FILE, ["/dev/null"], "several are to be sent"),
        (FILE, ["--split", "1MB"], "--split reads a file twice"),
    ],
)
def test_what_standard_input_cannot_be(bucket: Bucket, to: str, options: list[str], what: str) -> None:
    error = send(CSV, *options, to=to).exception
    assert isinstance(error, UserError)
    assert (what in error.message, error.exit_code) == (True, 2)
    assert bucket.got == []


def test_the_hint_names_a_key_of_that_kind() -> None:
    assert send(CSV, to="s3://acme-in/incoming/orders").exception.hint == f"Example: --to {FILE}"


def test_nothing_on_standard_input_sends_nothing(bucket: Bucket) -> None:
    error = send(b"").exception
    assert isinstance(error, UserError)
    assert (error.message, error.exit_code) == ("nothing came on standard input; nothing was sent.", 1)
    assert bucket.got == []


def test_a_closed_standard_input_is_nothing_too(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UserError, match="nothing came on standard input"):
        app(["send", "-", "--to", FILE, "-r", RECIPIENT], standalone_mode=False)
    assert bucket.got == []


def test_the_bar_counts_bytes_until_it_knows_how_many_they_are() -> None:
    screen = io.StringIO()
    bars = progress_bars(Console(file=screen, force_terminal=True, width=100))
    with bars:
        number = bars.add_task("read  standard input", total=None)
        bars.advance(number, 12)
        bars.refresh()
    assert "12/? bytes" in screen.getvalue()


class Pressed(io.BytesIO):
    """A pipe whose second piece is long in coming: somebody presses Ctrl-C."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            _thread.interrupt_main()
        return super().read(size)


@pytest.fixture
def hears() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears")
def test_ctrl_c_while_it_is_read_sends_nothing(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pressed(CSV * CHUNK)))
    with pytest.raises(UserError, match=r"interrupted; nothing of .* was sent") as caught:
        app(["send", "-", "--to", FILE, "-r", RECIPIENT], standalone_mode=False)
    assert caught.value.exit_code == 130
    assert bucket.got == []


@pytest.mark.parametrize(("file", "what"), [("none.csv", "does not exist"), ("/dev", "is a directory")])
def test_what_is_no_file_is_told(file: str, what: str) -> None:
    done = CliRunner().invoke(app, ["send", file, "--to", FOLDER, "-r", RECIPIENT])
    assert (done.exit_code, what in done.output) == (2, True), done.output
