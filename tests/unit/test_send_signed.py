"""What `hikyaku send` states of a file, numbers and signs."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pyrage
import pytest
from botocore.exceptions import EndpointConnectionError
from rich.progress import Progress
from typer.testing import CliRunner

from fakes.bucket import Bucket
from fakes.senders import ACME, make_key, public, verifies
from hikyaku import manifest, sign
from hikyaku.app import app
from hikyaku.errors import UserError
from hikyaku.manifest import Part, Voucher
from hikyaku.parcel import Sealed
from hikyaku.sending import upload
from hikyaku.sending.courier import Courier
from hikyaku.sending.destination import Destination
from hikyaku.sending.sealer import Age
from hikyaku.sequence import Sequence, state_file, stream
from shared import manifest as received
from shared.manifest import Manifest

BUCKET, KEY = "acme-in", "incoming/orders/2026-11.csv.gz.age"
SEALED = Sealed(5, "ab" * 32)
RECIPIENT = pyrage.x25519.Identity.generate().to_public()


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def signed_with(key: Path | None, **changes: Any) -> Voucher:
    return Voucher(**{"sender": ACME, "key": key, "sequence": Sequence(), **changes})


def read(found: dict[str, str]) -> Manifest:
    return Manifest.read(base64.b64decode(found[received.METADATA], validate=True))


def test_both_sides_mean_the_same_by_it() -> None:
    assert (manifest.METADATA, manifest.SIGNATURE, sign.NAMESPACE) == (received.METADATA, received.SIGNATURE, received.NAMESPACE)
    found = read(signed_with(None).metadata(BUCKET, KEY, SEALED, Part("g", 2, 3)))
    assert (found.sender, found.bucket, found.key, found.size, found.sha256, found.seq) == (ACME, BUCKET, KEY, 5, "ab" * 32, 1)
    assert (found.group, found.part, found.parts) == ("g", 2, 3)
    assert found.created_at.utcoffset() is not None


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_openssh_takes_the_signature(tmp_path: Path, kind: str) -> None:
    key = make_key(tmp_path / "key", kind)
    signers = tmp_path / "signers"
    signers.write_text(f'{ACME} namespaces="hikyaku" {public(key)}\n')
    found = signed_with(key).metadata(BUCKET, KEY, SEALED)
    said, blob = (base64.b64decode(found[name], validate=True) for name in (received.METADATA, received.SIGNATURE))
    assert verifies(said, blob, signers)
    assert not verifies(said + b" ", blob, signers)


def test_nothing_is_signed_without_a_key() -> None:
    assert signed_with(None).metadata(BUCKET, KEY, SEALED).keys() == {received.METADATA}


@contextmanager
def agent(socket: Path) -> Iterator[None]:
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as process:
        try:
            limit = time.monotonic() + 20
            while not socket.exists():
                assert time.monotonic() < limit
            yield
        finally:
            process.terminate()


def test_a_key_in_an_agent_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path / "key")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    with agent(tmp_path / "agent"):
        subprocess.run(["ssh-add", "-q", str(key)], check=True)
        key.unlink()
        assert received.SIGNATURE in signed_with(tmp_path / "key.pub").metadata(BUCKET, KEY, SEALED)


def refusal(voucher: Voucher, key: str = KEY) -> UserError:
    with pytest.raises(UserError) as caught:
        voucher.metadata(BUCKET, key, SEALED)
    return caught.value


def test_a_passphrase_that_nobody_can_type_is_told(tmp_path: Path) -> None:
    error = refusal(signed_with(make_key(tmp_path / "key", locked=True)))
    assert "passphrase" in error.message
    assert "ssh-add" in error.hint


def test_a_file_that_is_no_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("nothing")
    (tmp_path / "key").chmod(0o600)
    assert "did not sign" in refusal(signed_with(tmp_path / "key")).message


def test_a_machine_without_openssh_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path / "key")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "openssh-client" in refusal(signed_with(key)).hint


def test_more_than_s3_keeps_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", "rsa", bits=4096)
    signed_with(key).metadata(BUCKET, KEY, SEALED)
    assert "ed25519" in refusal(signed_with(key), f"incoming/orders/{'x' * 300}.csv.gz.age").hint


def test_the_longest_key_fits_with_ed25519(tmp_path: Path) -> None:
    longest = f"incoming/orders/{'x' * (1024 - len('incoming/orders/.csv.gz.age'))}.csv.gz.age"
    found = signed_with(make_key(tmp_path / "key")).metadata(BUCKET, longest, SEALED)
    assert len(read(found).key) == 1024


@pytest.mark.parametrize(
    ("comment", "name"), [("acme@example.com", "acme@example.com"), ("two words", None), ("", None), ("a\x1bb", None)], ids=repr
)
def test_the_keys_comment_is_the_senders_name(tmp_path: Path, comment: str, name: str | None) -> None:
    key = make_key(tmp_path / "key", comment="x")
    key.with_name("key.pub").write_text(f"{public(key)} {comment}\n")
    anyone = sign.default_sender(None)
    assert "@" in anyone
    assert sign.default_sender(key) == sign.default_sender(key.with_name("key.pub")) == (name or anyone)


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr(sign.getpass, "getuser", nobody)
    assert sign.default_sender(None).partition("@")[0] == str(os.getuid())


# Numbers


def test_files_are_numbered_by_sender_bucket_and_dataset() -> None:
    def take(sender: str = ACME, bucket: str = BUCKET, key: str = KEY) -> int:
        return Sequence().take(sender, bucket, key)

    assert [take(), take(), take(key="incoming/orders/deeper/b.csv.gz.age"), take("b"), take(bucket="other")] == [1, 2, 3, 1, 1]
    assert [take(key="incoming/stock/a.csv.gz.age"), take(key="incoming/test/orders/a.csv.gz.age"), take()] == [1, 1, 4]
    assert state_file().parent.is_dir()


def test_a_number_that_was_given_goes_on_from_there() -> None:
    given = Sequence(told=40)
    assert [given.take(ACME, BUCKET, KEY), given.take(ACME, BUCKET, KEY), Sequence().take(ACME, BUCKET, KEY)] == [40, 41, 42]
    assert [Sequence(told=5).take(ACME, BUCKET, KEY), Sequence().take(ACME, BUCKET, KEY)] == [5, 43], "never back by itself"


def test_no_number_is_given_twice_to_commands_at_the_same_time() -> None:
    code = f"from hikyaku.sequence import Sequence\nfor _ in range(25): print(Sequence().take('a', 'b', {KEY!r}))"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    taken = [int(line) for process in processes for line in process.communicate(timeout=60)[0].split()]
    assert sorted(taken) == list(range(1, 101))


@pytest.mark.parametrize("text", ["", "[]", '{"a": -1}', '{"a": true}', "\ud800"], ids=repr)
def test_damaged_counts_start_nothing_anew(text: str) -> None:
    state_file().parent.mkdir(parents=True)
    state_file().write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(UserError, match="holds no counts") as caught:
        Sequence().take(ACME, BUCKET, KEY)
    assert "--seq" in caught.value.hint


def test_a_place_where_nothing_can_be_kept_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    with pytest.raises(UserError, match="can't be numbered"):
        Sequence().take(ACME, BUCKET, KEY)


def test_a_relative_state_home_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    assert state_file() == Path("~/.local/state/hikyaku/sequences.json").expanduser()
    assert stream("a", "b", KEY) == "a s3://b/incoming/orders"


# The command


def run(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> Any:
    monkeypatch.setattr(upload, "s3_client", lambda: bucket)
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text("id\n1\n")
    files = [str(folder / "a.csv"), str(folder / "b.csv")]
    return CliRunner().invoke(app, ["send", *files, "--to", f"s3://{BUCKET}/incoming/orders/", "-r", str(RECIPIENT), *options])


def test_the_manifest_travels_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket()
    done = run(bucket, monkeypatch, tmp_path, "--sign", str(make_key(tmp_path / "key")), "--seq", "9")
    assert done.exit_code == 0, done.output
    for number, (_, data, extra) in enumerate(bucket.got):
        assert extra["Metadata"].keys() == {received.METADATA, received.SIGNATURE}
        found = read(extra["Metadata"])
        assert (found.sender, found.size, found.sha256) == (ACME, len(data), hashlib.sha256(data).hexdigest())
        assert (found.key, found.seq) == (f"incoming/orders/{'ab'[number]}.csv.gz.age", 9 + number)


def test_an_unsigned_file_has_its_manifest_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket()
    assert run(bucket, monkeypatch, tmp_path, "--sender", "branch 7").exit_code == 0
    assert [read(extra["Metadata"]).sender for _, _, extra in bucket.got] == ["branch 7"] * 2
    assert json.loads(state_file().read_text()) == {f"branch 7 s3://{BUCKET}/incoming/orders": 2}


@pytest.mark.parametrize("name", ["x" * 257, "a\nb"], ids=["long", "two lines"])
def test_a_senders_name_is_short_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    error = run(Bucket(), monkeypatch, tmp_path, "--sender", name).exception
    assert isinstance(error, UserError)
    assert "--sender" in error.message


def test_the_bars_stand_still_while_a_passphrase_is_asked_for(tmp_path: Path) -> None:
    class Asking(Voucher):
        def metadata(self, *_: object) -> dict[str, str]:  # type: ignore[override]
            assert not progress.live.is_started
            return {}

    file = tmp_path / "a.csv"
    file.write_text("id\n1\n")
    with Progress(disable=False) as progress:
        s3, to = cast("Any", Bucket()), Destination(BUCKET, "incoming/orders/")
        Courier(upload.S3Upload(s3), to, Age([RECIPIENT]), progress, Asking(ACME, tmp_path / "key", Sequence())).send(file)
        assert progress.live.is_started


def test_a_dry_run_sends_nothing_and_uses_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket()
    done = run(bucket, monkeypatch, tmp_path, "--dry-run", "--json", "--wait")
    assert done.exit_code == 0, done.output
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["status"], one["key"]) for one in said] == [("dry-run", f"incoming/orders/{name}.csv.gz.age") for name in "ab"]
    assert (bucket.got, state_file().exists()) == ([], False)


def test_a_failed_upload_keeps_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    assert run(Bucket(EndpointConnectionError(endpoint_url="x")), monkeypatch, tmp_path).exit_code == 1
    bucket = Bucket()
    run(bucket, monkeypatch, tmp_path)
    assert [read(extra["Metadata"]).seq for _, _, extra in bucket.got] == [2, 3], "nobody knows whether the first arrived"
