import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fakes.line import file_ref, problem, settlement
from shared import spool
from shared.contract import (
    PAYLOAD_VERSION,
    Decrypted,
    DecryptedParcel,
    FileRef,
    Parcel,
    Payload,
    Problem,
    QueueName,
    SettledParcel,
    Settlement,
    TaskName,
    UnknownPayloadError,
    Verdict,
    settle_queue,
)
from shared.errors import CourierError, ErrorCode, Rejected, Retryable

FILE = file_ref("m1")
PAYLOADS: list[Payload] = [
    FILE,
    problem(),
    Parcel(parcel_id="p", files=(FILE, file_ref("m2"))),
    Parcel(parcel_id="p", files=(FILE,), problem=problem()),
    Decrypted(file=FILE, sha256="00", signer="s", recipient_identity="i"),
    DecryptedParcel(parcel_id="p", items=(Decrypted(file=FILE, problem=problem()), Decrypted(file=FILE))),
    settlement(FILE, Verdict.REJECTED),
    SettledParcel(parcel_id="p", settlements=(settlement(FILE),)),
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
class TestEveryPayload:
    def test_comes_back_from_json_as_it_was(self, payload: Payload) -> None:
        assert type(payload).read(json.loads(json.dumps(payload.dump()))) == payload

    def test_ignores_what_a_newer_sender_added(self, payload: Payload) -> None:
        assert type(payload).read({**payload.dump(), "added_later": {"a": 1}}) == payload

    def test_refuses_a_newer_version(self, payload: Payload) -> None:
        with pytest.raises(UnknownPayloadError, match="upgrade this service"):
            type(payload).read({**payload.dump(), "v": PAYLOAD_VERSION + 1})

    def test_reads_one_without_a_version(self, payload: Payload) -> None:
        data = payload.dump()
        del data["v"]
        assert type(payload).read(data) == payload

    def test_is_frozen(self, payload: Payload) -> None:
        with pytest.raises(ValidationError):
            payload.v = 2  # type: ignore[misc]  # that is the test


def test_what_is_no_payload_is_a_bug() -> None:
    with pytest.raises(ValidationError):
        Parcel.read({"parcel_id": "p"})


def test_a_settlement_with_a_code_from_a_newer_service_is_still_read() -> None:
    """The vocabulary grows, and the loader may be upgraded before the poller: a final fate must not become five redeliveries."""
    data: dict[str, Any] = settlement(FILE, Verdict.REJECTED).dump() | {"error_code": "invented_later"}
    read = Settlement.read(data)
    assert (read.verdict, read.error_code) == (Verdict.REJECTED, "invented_later")
    assert Settlement.read(json.loads(json.dumps(read.dump()))) == read


def test_a_settlement_of_an_older_loader_says_nothing_of_decryption() -> None:
    data = settlement(FILE).model_copy(update={"decrypted": True}).dump()
    assert Settlement.read(data).decrypted is True
    del data["decrypted"]
    assert Settlement.read(data).decrypted is None


def test_a_problem_with_a_code_from_a_newer_service_travels_on() -> None:
    read = Problem.read(problem().dump() | {"error_code": "invented_later"})
    assert read.error_code == "invented_later"
    assert Problem.of(Rejected(read.error_code, read.message)) == read


@pytest.mark.parametrize("code", [None, 7, ["gzip_invalid"]])
def test_a_problem_without_a_code_in_words_is_a_bug(code: object) -> None:
    with pytest.raises(ValidationError):
        Problem.read(problem().dump() | {"error_code": code})


def test_a_file_id_is_stable() -> None:
    """Spool files, log lines and settlements of a running line are joined by it: it must survive upgrades."""
    file = FileRef(
        bucket="hikyaku",
        key="incoming/orders/受注.csv.gz.age",
        version_id="v1",
        size=1,
        event_time="t",
        received_at="t",
        message_id="m",
    )
    assert file.file_id == "265d04f3792a3e32069627bc"


def test_a_file_id_tells_versions_and_nothing_else_apart() -> None:
    same = file_ref("another message", size=99)
    assert same.file_id == FILE.file_id
    others = {file_ref(version="v2").file_id, file_ref(key="incoming/orders/b.csv.gz.age").file_id, FILE.file_id}
    assert len(others) == 3


@given(st.text(), st.text(), st.text())
def test_a_file_id_is_a_safe_file_name(bucket: str, key: str, version: str) -> None:
    file_id = FILE.model_copy(update={"bucket": bucket, "key": key, "version_id": version}).file_id
    assert len(file_id) == 24
    assert file_id.isalnum()


def test_without_versioning_s3_is_asked_for_no_version() -> None:
    assert file_ref(version="etag:abc").s3_version_id is None
    assert file_ref(version="abc").s3_version_id == "abc"


@pytest.mark.parametrize(("error", "retry"), [(Rejected, False), (Retryable, True)])
def test_a_problem_is_the_travelling_form_of_an_error(error: type[CourierError], retry: bool) -> None:
    made = Problem.of(error(ErrorCode.TIMEOUT, "what happened"))
    assert (made.error_code, made.message, made.retry) == (ErrorCode.TIMEOUT, "what happened", retry)
    assert str(error(ErrorCode.TIMEOUT, "what happened")) == "timeout: what happened"


def test_names_are_what_the_other_side_of_an_upgrade_knows() -> None:
    assert sorted(TaskName) == ["decryptor.decrypt", "decryptor.tidy", "loader.load", "poller.settle", "poller.settle_failed"]
    assert sorted(QueueName) == ["decrypt", "decrypt.tidy", "load", "settle"]
    assert settle_queue("p1") == "settle.p1"
    assert sorted(Verdict) == ["done", "rejected", "retry"]


def test_the_contracts_error_codes_are_all_there() -> None:
    promised = """
        object_missing object_changed size_mismatch hash_mismatch manifest_invalid signature_missing signature_invalid
        signer_unknown age_header_invalid no_matching_identity ciphertext_corrupt openpgp_invalid gzip_invalid too_large
        dataset_invalid table_unknown columns_mismatch encoding_invalid csv_malformed value_invalid constraint_violated
        duplicate_keys too_many_rejected_rows storage_unavailable database_unavailable timeout crashed internal_error
    """
    assert set(promised.split()) <= {str(code) for code in ErrorCode}


def test_attempts_write_to_files_of_their_own(tmp_path: Any) -> None:
    one, two = (spool.partial(tmp_path, FILE.file_id, uuid.uuid4().hex) for _ in range(2))
    assert len({one, two, spool.published(tmp_path, FILE.file_id)}) == 3
    assert one.parent == spool.published(tmp_path, FILE.file_id).parent, "a rename must not cross file systems"
