"""`hikyaku send --wait`: whose receipt is believed, and what it ends the command with."""

import base64
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest
from typer.testing import CliRunner

from fakes.bucket import Bucket
from fakes.s3 import client_error
from fakes.senders import make_key, public, signature
from hikyaku.app import app
from hikyaku.errors import UserError
from hikyaku.parcel import Sealed
from hikyaku.sending import upload
from hikyaku.sending.courier import Sent
from hikyaku.sending.receipt import BucketReceipts, Slip
from hikyaku.sending.wait import SLOWEST_S, Waiting, refusal, story

BUCKET, KEY = "acme-in", "incoming/orders/a.csv.gz.age"
SENT = Sent("a.csv", KEY, Sealed(5, "ab" * 32), "v1")
RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())


def body(**changes: Any) -> bytes:
    said: dict[str, Any] = {
        "v": 1, "bucket": BUCKET, "key": KEY, "version_id": "v1", "sha256": "ab" * 32, "size": 5, "dataset": "orders",
        "status": "loaded", "error_code": None, "error": None, "bad_lines": [], "file_id": 7,
        "rows": {"read": 2, "inserted": 2, "updated": 0, "unchanged": 0, "deleted": 0, "rejected": 0},
        "received_at": "2026-11-26T12:00:00.100000+00:00", "committed_at": "2026-11-26T12:00:00.400000+00:00",
    }  # fmt: skip
    return json.dumps({**said, **changes}, sort_keys=True, separators=(",", ":")).encode()


class Desk:
    """Gives one answer after another, then the last one for ever; time passes only while somebody waits."""

    def __init__(self, *answers: Slip | None) -> None:
        self.answers = list(answers)
        self.now = 0.0
        self.pauses: list[float] = []

    def get(self, _key: str) -> Slip | None:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def waiting(self, timeout_s: float = 60, signers: Path | None = None) -> Waiting:
        return Waiting(self, timeout_s, signers, clock=lambda: self.now, pause=self.pause)


def slip(**changes: Any) -> Slip:
    return Slip(body(**changes), "")


def test_the_receipt_of_this_version_and_of_no_other() -> None:
    others = [
        None,
        slip(version_id="v0", status="rejected"),
        slip(bucket="other"),
        slip(key="incoming/x.csv.gz.age"),
        slip(status="staged"),
    ]
    desk = Desk(*others, slip())
    assert desk.waiting().for_file([SENT], BUCKET).status == "loaded"
    assert len(desk.pauses) == len(others)


class Shelf(Desk):
    """By key: one answer after another, then the last one for ever."""

    def __init__(self, answers: dict[str, list[str]]) -> None:
        super().__init__()
        self.by_key = answers
        self.asked: list[str] = []

    def get(self, key: str) -> Slip | None:
        self.asked.append(key)
        statuses = self.by_key[key]
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        return slip(key=key, status=status) if status else None


def test_of_a_group_the_part_that_came_last_tells_the_fate_of_all() -> None:
    parts = [Sent("a.csv", key, SENT.sealed, "v1") for key in "123"]
    shelf = Shelf({"1": ["", "staged"], "2": ["", "", "", "loaded"], "3": ["staged"]})
    assert shelf.waiting().for_file(parts, BUCKET).key == "2"
    assert "".join(shelf.asked) == "3212122", "what waits for the others is not asked for again"
    with pytest.raises(UserError, match="no receipt"):
        Shelf({key: ["staged"] for key in "123"}).waiting().for_file(parts, BUCKET)


def test_without_a_version_the_ciphertext_tells() -> None:
    nameless = Sent("a.csv", KEY, SENT.sealed)
    desk = Desk(slip(sha256="cd" * 32), slip(sha256=None), slip(version_id="v9"))
    assert desk.waiting().for_file([nameless], BUCKET).version_id == "v9"


def test_it_looks_often_at_first_and_gives_up_in_time() -> None:
    desk = Desk(None)
    with pytest.raises(UserError, match=r"no receipt for a\.csv within 60 s") as caught:
        desk.waiting().for_file([SENT], BUCKET)
    assert (caught.value.exit_code, desk.now) == (1, pytest.approx(60))
    assert desk.pauses[:3] == pytest.approx([0.1, 0.115, 0.13225])
    assert max(desk.pauses) <= SLOWEST_S


def test_a_receipt_is_believed_when_the_host_signed_it(tmp_path: Path) -> None:
    key = make_key(tmp_path / "host")
    signers = tmp_path / "signers"
    signers.write_text(f'host namespaces="hikyaku-receipt" {public(key)}\n')
    good = Slip(body(), base64.b64encode(signature(body(), key, "hikyaku-receipt")).decode())
    assert Desk(good).waiting(signers=signers).for_file([SENT], BUCKET).status == "loaded"
    stranger = make_key(tmp_path / "stranger")
    wrong = {
        "not signed": slip(),
        "altered": Slip(body(rows={"read": 3}), good.signature),
        "by no key": Slip(body(), base64.b64encode(signature(body(), stranger, "hikyaku-receipt")).decode()),
        "signed by": Slip(body(), base64.b64encode(signature(body(), key, "hikyaku")).decode()),
        "damaged": Slip(body(), "?"),
    }
    for what, bad in wrong.items():
        with pytest.raises(UserError, match=what):
            Desk(bad).waiting(signers=signers).for_file([SENT], BUCKET)


def test_what_is_no_receipt_is_told() -> None:
    with pytest.raises(UserError, match="can't be read"):
        Desk(Slip(b'{"v":2}', "")).waiting().for_file([SENT], BUCKET)


def test_the_way_in_one_line() -> None:
    at = datetime(2026, 11, 26, 12, 0, 0, 0, UTC)
    way = "sent 12:00:00.000Z → received 12:00:00.100Z → loaded 12:00:00.400Z"
    assert story(slip().read(), "a.csv", at) == f"loaded a.csv: 2 read, 2 inserted; {way}"
    assert "was loaded before" in story(slip(status="duplicate").read(), "a.csv", at)
    some = slip(rows={"read": 2, "inserted": 1, "rejected": 1}, rejects=f"rejects/{KEY}.csv.gz.age").read()
    there = f"s3://{BUCKET}/rejects/{KEY}.csv.gz.age"
    assert story(some, "a.csv", at) == f"loaded a.csv: 2 read, 1 inserted, 1 rejected; the rejected ones come back in {there}; {way}"


def test_a_rejected_file_ends_with_its_reason() -> None:
    error = refusal(slip(status="rejected", error_code="value_invalid", error="no date", bad_lines=[3, 9]).read(), "a.csv")
    assert error is not None
    assert (error.exit_code, error.message) == (3, "a.csv was rejected: value_invalid: no date (lines 3, 9)")
    assert [refusal(slip(status=status).read(), "a.csv") for status in ("loaded", "duplicate", "tested")] == [None] * 3


@pytest.mark.parametrize("code", ["NoSuchKey", "AccessDenied"])
def test_a_receipt_that_is_not_there_yet(code: str) -> None:
    assert BucketReceipts(Answering(client_error(code)), BUCKET).get(KEY) is None


def test_s3_that_fails_is_no_missing_receipt() -> None:
    with pytest.raises(UserError, match="can't be fetched"):
        BucketReceipts(Answering(client_error("InternalError")), BUCKET).get(KEY)


class Answering(Bucket):
    """A bucket with one answer to who asks for a receipt."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def get_object(self, **_: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(("status", "exit_code"), [("loaded", 0), ("duplicate", 0), ("tested", 0), ("rejected", 3), ("superseded", 1)])
def test_the_command_ends_as_the_file_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, exit_code: int) -> None:
    answer = {"Body": io.BytesIO(body(status=status, error_code="csv_malformed", error="a quote")), "Metadata": {}}
    Answering(answer).installed(monkeypatch, tmp_path)
    (tmp_path / "a.csv").write_text("id\n1\n")
    to = f"s3://{BUCKET}/incoming/orders/"
    done = CliRunner().invoke(app, ["send", str(tmp_path / "a.csv"), "--to", to, "-r", RECIPIENT, "--wait", "--json"])
    assert (done.exception.exit_code if isinstance(done.exception, UserError) else done.exit_code) == exit_code
    assert [json.loads(line)["status"] for line in done.output.splitlines()] == ["sent", status]


def test_a_file_of_which_nothing_is_known_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first gets no receipt, the second is rejected: both are said, and the graver one ends the command."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    second = KEY.replace("a.csv", "b.csv")

    class Second(Bucket):
        def get_object(self, **name: Any) -> Any:
            if second not in name["Key"]:
                raise client_error("NoSuchKey")
            return {
                "Body": io.BytesIO(body(key=second, version_id="v2", status="rejected", error_code="csv_malformed", error="a quote")),
                "Metadata": {},
            }

    monkeypatch.setattr(upload, "s3_client", Second)
    files = [tmp_path / name for name in ("a.csv", "b.csv")]
    for file in files:
        file.write_text("id\n1\n")
    to = ["--to", f"s3://{BUCKET}/incoming/orders/", "-r", RECIPIENT]
    done = CliRunner().invoke(app, ["send", *map(str, files), *to, "--wait", "--timeout", "0"])
    assert isinstance(done.exception, UserError)
    assert (done.exception.exit_code, done.exception.message) == (3, "b.csv was rejected: csv_malformed: a quote")
    assert "no receipt for a.csv within 0 s" in done.output
    assert "rejected b.csv" in done.output
