"""A receipt in S3: which bytes, signed as OpenSSH signs, and never over a newer one, whoever else is at it."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from decryptor import receipt_key
from decryptor.key_file import IdentityFileError
from decryptor.receipts import Sign, tell, unsigned
from decryptor.tidy import Desk, one_by_one, tidy_parcel
from fakes.line import BUCKET, KEY, file_ref, receipt
from fakes.s3 import FakeS3, client_error
from fakes.senders import make_key, public, verifies
from shared import receipt as form
from shared.contract import Chore, Receipt, RowCounts, SettledParcel, TidyParcel
from shared.errors import ErrorCode, Retryable

PLACE = f"receipts/{KEY}.json"


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


def put(s3: FakeS3, told: Receipt, sign: Sign) -> None:
    tell(s3, told, None, sign)


def version(number: int, *, sequencer: str = "", status: str = "loaded", committed: int = 0, hour: int = 0) -> Receipt:
    """Of a version of one key."""
    file = file_ref(version=f"v{number}").model_copy(update={"sequencer": sequencer, "event_time": f"2026-11-12T{hour:02}:00:00Z"})
    return receipt(file, status, committed)


def puts(s3: FakeS3) -> list[tuple[str, str]]:
    """Version and status of every receipt that was put, in order."""
    told = [json.loads(v.data or b"") for name, v in s3.versions.items() if name[:2] == (BUCKET, PLACE)]
    return [(each["version_id"], each["status"]) for each in told]


def at(number: int, do: Callable[[], None]) -> Callable[[dict[str, Any]], None]:
    """Do something before the request of this number, and at no other."""
    count = iter(range(100))
    return lambda _: do() if next(count) == number else None


# What is put


def test_the_body_is_what_the_sender_was_promised(s3: FakeS3) -> None:
    rows = RowCounts(read=3, inserted=1, updated=0, unchanged=1, deleted=0, rejected=1)
    told = version(1, sequencer="0A").model_copy(
        update={"sha256": "ab", "dataset": "注文", "rows": rows, "bad_lines": (3,), "error_code": "value_invalid", "error": "line 3"}
    )
    put(s3, told, unsigned)
    [stored] = s3.versions.values()
    assert (
        stored.data
        == (
            '{"bad_lines":[3],"bucket":"hikyaku-test","committed_at":"2026-11-12T00:00:00.000000Z","dataset":"注文","error":"line 3",'
            f'"error_code":"value_invalid","file_id":"{told.file_id}","key":"incoming/orders/a.csv.gz.age",'
            '"received_at":"2026-11-12T00:00:00Z",'
            '"rejects":null,"rows":{"deleted":0,"inserted":1,"read":3,"rejected":1,"unchanged":1,"updated":0},'
            '"sha256":"ab","size":10,"status":"loaded","v":1,"version_id":"v1"}'
        ).encode()
    )
    assert s3.requests[0]["Key"] == PLACE
    assert s3.requests[0]["ContentType"] == "application/json"
    assert "hikyaku-signature" not in s3.requests[0]["Metadata"]


def test_openssh_takes_the_signature_and_takes_it_for_no_other_bytes(s3: FakeS3, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    signers = tmp_path / "signers"
    signers.write_text(f'hikyaku namespaces="hikyaku-receipt" {public(key)}\n')
    put(s3, version(1), receipt_key.read(key))
    [stored] = s3.versions.values()
    blob = base64.b64decode(stored.fields["Metadata"]["hikyaku-signature"])
    assert verifies(stored.data or b"", blob, signers, "hikyaku", "hikyaku-receipt")
    assert not verifies((stored.data or b"") + b" ", blob, signers, "hikyaku", "hikyaku-receipt")
    assert not verifies(stored.data or b"", blob, signers, "hikyaku", "hikyaku"), "it is no manifest's"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda path: make_key(path, locked=True), "passphrase"),
        (lambda path: make_key(path, "ecdsa"), "another kind"),
        (lambda path: make_key(path).chmod(0o644), "chmod 600"),
        (lambda path: (path.touch(0o600), path.write_bytes(b"SECRETMARKER")), "no OpenSSH private key"),
        (lambda path: path.mkdir(), "is not a file"),
    ],
)
def test_a_key_that_can_not_be_used_is_named_and_not_quoted(tmp_path: Path, wrong: Callable[[Path], object], said: str) -> None:
    wrong(tmp_path / "key")
    with pytest.raises(IdentityFileError, match=said) as caught:
        receipt_key.read(tmp_path / "key")
    assert "SECRETMARKER" not in str(caught.value)
    assert str(tmp_path / "key") in str(caught.value)


# Which of two is newer


def test_the_first_costs_one_request_and_a_repeat_leaves_it_alone(s3: FakeS3) -> None:
    put(s3, version(1), unsigned)
    assert len(s3.requests) == 1
    put(s3, version(1), unsigned)
    assert puts(s3) == [("v1", "loaded")]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (version(1, sequencer="0A", hour=9), version(2, sequencer="0A1", hour=1)),
        (version(1, sequencer="09FF"), version(2, sequencer="0A")),
        (version(1, sequencer="0A", hour=1), version(2, sequencer="0A00", hour=2)),
        (version(1, hour=1), version(2, sequencer="0A", hour=2)),
        (version(1, sequencer="é\n", hour=1), version(2, sequencer="0A", hour=2)),
        (version(1, status="rejected"), version(1, committed=1)),
    ],
)
def test_an_older_one_never_goes_over_a_newer(older: Receipt, newer: Receipt) -> None:
    for order in ((older, newer), (newer, older)):
        s3 = FakeS3()
        for each in order:
            put(s3, each, unsigned)
        assert puts(s3)[-1] == (newer.version_id, newer.status)
        assert len(puts(s3)) == (2 if order[0] is older else 1)


def test_one_that_another_puts_meanwhile_is_not_replaced_unseen(s3: FakeS3) -> None:
    """Two decryptors: both have seen the oldest, and the newest is put before the other's turn."""
    oldest, middle, newest = (version(number, hour=number) for number in (1, 2, 3))
    put(s3, oldest, unsigned)

    def other() -> None:
        s3.before = None
        put(s3, newest, unsigned)

    s3.before = at(2, other)
    put(s3, middle, unsigned)
    assert puts(s3) == [("v1", "loaded"), ("v3", "loaded")]


def test_one_that_is_removed_meanwhile_is_put_as_the_first(s3: FakeS3) -> None:
    for number in (1, 2):
        put(s3, version(1), unsigned)
        s3.requests.clear()
        s3.before = at(number, s3.versions.clear)
        put(s3, version(2, hour=2), unsigned)
        assert puts(s3) == [("v2", "loaded")]
        s3.before = None
        s3.versions.clear()


def test_what_nobody_of_ours_has_put_there_is_replaced(s3: FakeS3) -> None:
    for metadata in (
        {},
        {form.EVENT_TIME: "now", form.COMMITTED_AT: "then"},
        dict.fromkeys((form.EVENT_TIME, form.COMMITTED_AT), "2999-01-01"),
    ):
        s3.versions.clear()
        s3.put(BUCKET, PLACE, "stray", b"{}", Metadata=metadata)
        put(s3, version(1), unsigned)
        assert json.loads(list(s3.versions.values())[-1].data or b"")["version_id"] == "v1"


def test_a_quarrel_without_end_is_tried_again_later(s3: FakeS3) -> None:
    def other(request: dict[str, Any]) -> None:
        if "Body" in request:
            s3.put(BUCKET, PLACE, f"others-{len(s3.requests)}", str(len(s3.requests)).encode())

    s3.before = other
    with pytest.raises(Retryable) as caught:
        put(s3, version(1), unsigned)
    assert caught.value.error_code == ErrorCode.STORAGE_UNAVAILABLE


# What S3 says


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (client_error("AccessDenied"), "receipt_refused"),
        (client_error("NoSuchBucket"), "receipt_refused"),
        (client_error("NotImplemented"), "receipt_refused"),
        (client_error("SlowDown"), "storage_unavailable"),
        (client_error("KMS.DisabledException"), "storage_unavailable"),
        (client_error("InternalError"), "storage_unavailable"),
        (EndpointConnectionError(endpoint_url="s3"), "storage_unavailable"),
    ],
)
def test_a_refusal_is_told_from_an_outage(s3: FakeS3, number: int, error: Exception, code: str) -> None:
    def fail() -> None:
        raise error

    put(s3, version(1), unsigned)
    s3.before = at(number, fail)
    if number and code == "receipt_refused" and "NoSuchBucket" in str(error):
        # Of a HEAD's 404 nobody knows what is missing: the PUT that follows will say.
        put(s3, version(2, hour=2), unsigned)
        return
    with pytest.raises(Retryable) as caught:
        put(s3, version(2, hour=2), unsigned)
    assert caught.value.error_code == code
    if code == "receipt_refused":
        assert "receipts/*" in caught.value.message


# The records that come back

ROWS = f"rejects/{KEY}.csv.gz.age"


def returning(receipt: Receipt) -> Receipt:
    return receipt.model_copy(update={"rejects": ROWS})


def both(s3: FakeS3, told: Receipt, rows: bytes = b"rows") -> None:
    tell(s3, returning(told), base64.b64encode(rows).decode(), unsigned)


def rows_of(s3: FakeS3) -> list[bytes | None]:
    """Every version of the records, in order."""
    return [version.data for name, version in s3.versions.items() if name[:2] == (BUCKET, ROWS)]


def test_the_records_are_there_before_the_receipt_says_where(s3: FakeS3) -> None:
    both(s3, version(1), b"\x00age")
    assert [(request["Key"], request["IfNoneMatch"]) for request in s3.requests] == [(ROWS, "*"), (PLACE, "*")]
    assert rows_of(s3) == [b"\x00age"]
    assert json.loads(list(s3.versions.values())[-1].data or b"")["rejects"] == ROWS
    assert s3.requests[0]["ContentType"] == "application/octet-stream"
    assert s3.requests[0]["Metadata"] == s3.requests[1]["Metadata"], "by which a sender sees that they belong together"


def test_records_that_s3_refuses_keep_the_receipt_back_and_the_advice_is_theirs(s3: FakeS3) -> None:
    def before(request: dict[str, Any]) -> None:
        if request["Key"] == ROWS:
            raise client_error("AccessDenied")

    s3.before = before
    with pytest.raises(Retryable) as caught:
        both(s3, version(1))
    assert (caught.value.error_code, s3.versions) == ("receipt_refused", {})
    assert "rejects/*" in caught.value.message
    assert "switch `rejects` off" in caught.value.message


def test_older_records_never_go_over_newer_ones_and_a_repeat_leaves_them_alone(s3: FakeS3) -> None:
    """age never makes the same bytes twice: what was put is what stays."""
    both(s3, version(2, hour=2), b"newer")
    both(s3, version(2, hour=2), b"again")
    both(s3, version(1, hour=1), b"older")
    assert (rows_of(s3), puts(s3)) == ([b"newer"], [("v2", "loaded")])
    both(s3, version(3, hour=3), b"newest")
    assert (rows_of(s3), puts(s3)) == ([b"newer", b"newest"], [("v2", "loaded"), ("v3", "loaded")])


def test_the_report_tells_whether_records_were_put(s3: FakeS3) -> None:
    [with_rows, without] = chores(a="keep", b="keep").chores
    parcel = TidyParcel(parcel_id="p", chores=(with_rows.model_copy(update={"returned": "cm93cw=="}), without))
    made = SettledParcel.read(tidy_parcel(Desk(lambda: s3, each=one_by_one), parcel.dump()))
    assert [(each.returned, each.problem) for each in made.tidied] == [(True, None), (False, None)]
    assert rows_of(s3) == [b"rows"]


# The task


def chores(**wishes: str) -> TidyParcel:
    files = {name: file_ref(name, version=name) for name in wishes}
    return TidyParcel(
        parcel_id="p", chores=tuple(Chore(file=file, after_load=wishes[name], receipt=receipt(file)) for name, file in files.items())
    )


@pytest.mark.parametrize("desk", [lambda s3: Desk(lambda: s3), lambda s3: Desk(lambda: s3, each=one_by_one)])
def test_receipt_and_object_are_both_seen_to_and_the_report_names_the_receipt(s3: FakeS3, desk: Callable[[FakeS3], Desk]) -> None:
    s3.put(BUCKET, KEY, "v1", b"1")
    parcel = chores(v1="delete")
    made = SettledParcel.read(tidy_parcel(desk(s3), parcel.dump()))
    assert [(each.file_id, each.receipt, each.problem) for each in made.tidied] == [
        (parcel.chores[0].file.file_id, "loaded 2026-11-12T00:00:00.000000Z", None)
    ]
    assert list(s3.versions) == [(BUCKET, PLACE, "put-1")]


@pytest.mark.parametrize(("refused", "code"), [("receipts/", "receipt_refused"), ("incoming/", "tidy_refused")])
def test_what_is_refused_of_one_half_does_not_keep_the_other_from_being_done(s3: FakeS3, refused: str, code: str) -> None:
    s3.put(BUCKET, KEY, "v1", b"1")

    def before(request: dict[str, Any]) -> None:
        if request["Key"].startswith(refused):
            raise client_error("AccessDenied")

    s3.before = before
    made = SettledParcel.read(tidy_parcel(Desk(lambda: s3), chores(v1="delete").dump()))
    assert [each.problem and each.problem.error_code for each in made.tidied] == [code]
    assert [name[1] for name in s3.versions] == ([KEY, PLACE] if refused == "incoming/" else [])


@pytest.mark.parametrize(
    ("of_the_object", "code", "also"),
    [("AccessDenied", "receipt_refused", "tidy_refused"), ("SlowDown", "storage_unavailable", "receipt_refused")],
)
def test_of_two_halves_that_are_not_done_both_are_told_an_outage_first(s3: FakeS3, of_the_object: str, code: str, also: str) -> None:
    """It is waited for: given up for the other half's refusal, the object would stay where it is."""
    s3.put(BUCKET, KEY, "v1", b"1")

    def before(request: dict[str, Any]) -> None:
        raise client_error("AccessDenied" if request["Key"].startswith("receipts/") else of_the_object)

    s3.before = before
    made = SettledParcel.read(tidy_parcel(Desk(lambda: s3), chores(v1="delete").dump()))
    assert [(each.problem and each.problem.error_code, each.also) for each in made.tidied] == [(code, also)]


def test_a_receipt_alone_touches_no_object(s3: FakeS3) -> None:
    s3.put(BUCKET, KEY, "v1", b"1")
    made = SettledParcel.read(tidy_parcel(Desk(lambda: s3), chores(v1="keep").dump()))
    assert [each.problem for each in made.tidied] == [None]
    assert {request["Key"] for request in s3.requests} == {PLACE}
