"""The same content sent again: it goes, and the command says that it went before."""

import base64
import json
import pwd
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest
from typer.testing import CliRunner

from fakes.bucket import Bucket
from fakes.s3 import client_error
from hikyaku.app import app
from hikyaku.errors import UserError
from hikyaku.sending import memory
from hikyaku.sending.memory import Memory

RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())
SAYS = "The same content went to this dataset at "


@pytest.fixture(autouse=True)
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return Bucket().installed(monkeypatch, tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "注文.csv"
    path.write_text("id\n1\n")
    return path


def send(file: Path, *options: str, dataset: str = "orders", to: str = "acme-in") -> Any:
    return CliRunner().invoke(app, ["send", str(file), "--to", f"s3://{to}/incoming/{dataset}/", "-r", RECIPIENT, *options])


def test_what_went_before_goes_again_and_is_told(bucket: Bucket, file: Path) -> None:
    first, second = send(file), send(file)
    assert (first.exit_code, second.exit_code, len(bucket.got)) == (0, 0, 2)
    assert SAYS not in first.output
    assert SAYS in second.stderr
    assert "as incoming/orders/注文.csv.gz.age. The host loads it once" in second.stderr
    assert second.stdout.startswith("sent 注文.csv to ")


def test_under_another_name_it_is_the_same_content(file: Path) -> None:
    send(file)
    assert "as incoming/orders/注文.csv.gz.age." in send(file.rename(file.with_name("b.csv"))).stderr


def test_another_dataset_bucket_or_content_is_another_thing(file: Path) -> None:
    send(file)
    assert SAYS not in send(file, dataset="stock").output
    assert SAYS not in send(file, dataset="test/orders").output
    assert SAYS not in send(file, to="acme-out").output
    file.write_text("id\n2\n")
    assert SAYS not in send(file).output


def test_a_script_is_told_when(file: Path) -> None:
    first, second = (json.loads(send(file, "--json").stdout)["same_content_sent_at"] for _ in range(2))
    assert first is None
    assert datetime.fromisoformat(second).tzinfo is not None


def test_a_dry_run_tells_and_is_not_remembered(file: Path) -> None:
    send(file, "--dry-run")
    assert SAYS not in send(file).output
    assert SAYS in send(file, "--dry-run").stderr


def test_what_did_not_arrive_is_not_remembered(bucket: Bucket, file: Path) -> None:
    bucket.error = client_error("AccessDenied")
    assert send(file).exit_code == 1
    bucket.error = None
    assert SAYS not in send(file).output


def test_each_part_is_told(file: Path) -> None:
    file.write_text("id\n1\n2\n")
    send(file, "--split", "4")
    assert send(file, "--split", "4").stderr.count(SAYS) == 2


def test_nobody_else_is_told_the_hash(bucket: Bucket, file: Path) -> None:
    told = send(file, "--json").output
    kept = Memory().path
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    [content] = json.loads(kept.read_bytes())["s3://acme-in/incoming/orders"]
    said = bucket.got[0][2]["Metadata"]["hikyaku-manifest"]
    assert content not in told + base64.b64decode(said).decode()


@pytest.mark.parametrize("damage", ["", "[]", '{"a": {"b": 1}}', "\ud800"])
def test_a_damaged_memory_claims_nothing_and_begins_anew(file: Path, damage: str) -> None:
    send(file)
    Memory().path.write_bytes(damage.encode(errors="surrogatepass"))
    assert SAYS not in send(file).output
    assert SAYS in send(file).stderr


def test_what_can_not_be_kept_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    Memory(path=tmp_path / "file" / "sent.json").remember("b", "incoming/orders/a.csv.gz.age", "ab")
    assert "will not be recognised" in capsys.readouterr().err


def test_the_last_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST", 2)
    known = Memory()
    for content in ("a", "b", "a", "c"):
        known.remember("b", "incoming/orders/a.csv.gz.age", content)
    assert [bool(known.before("b", "incoming/orders/x.csv.gz.age", content)) for content in "abc"] == [True, False, True]
    found = known.before("b", "incoming/orders/x.csv.gz.age", "a")
    assert found is not None
    assert found.at <= datetime.now(UTC)


def test_who_has_no_home_folder_is_told_what_to_set(bucket: Bucket, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    error = send(file).exception
    assert isinstance(error, UserError)
    assert (error.exit_code, "XDG_STATE_HOME" in error.hint, bucket.got) == (2, True, [])
