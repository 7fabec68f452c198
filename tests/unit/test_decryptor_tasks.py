import errno
import fcntl
import hashlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyrage
import pytest
import urllib3
from botocore import exceptions as boto
from structlog.testing import capture_logs

from decryptor import tasks
from decryptor.download import PAUSES_S
from decryptor.keyring import Keyring
from decryptor.tasks import Bench, decrypt_parcel
from fakes.clock import Clock
from fakes.s3 import FakeS3, Version, client_error, etag, sha256
from fakes.welcome import anyone
from shared.contract import Decrypted, DecryptedParcel, FileRef, Parcel, UnknownPayloadError
from shared.errors import ErrorCode
from shared.spool import published

BUCKET = "hikyaku-test"
KEY = "incoming/orders/a.csv.gz.age"
PLAIN = bytes(range(256)) * 1024
IDENTITY = pyrage.x25519.Identity.generate()
SEALED = pyrage.encrypt(PLAIN, [IDENTITY.to_public()])
SMALL = pyrage.encrypt(b"id\n1\n", [IDENTITY.to_public()])


class Line:
    """A decryptor with one identity, `courier`, and a bucket to put things in."""

    def __init__(self, tmp_path: Path) -> None:
        self.s3 = FakeS3()
        self.spool = tmp_path / "spool"
        self.spool.mkdir()
        self.identities = tmp_path / "identities"
        self.identities.mkdir(0o700)
        self.add_identity("courier.txt", IDENTITY)
        self.slept: list[float] = []
        self.clock = Clock()
        self.bench = Bench(
            lambda: self.s3, Keyring(self.identities), self.spool, anyone(tmp_path / "datasets.toml"), self.slept.append, self.clock
        )

    def add_identity(self, filename: str, identity: Any) -> None:
        path = self.identities / filename
        path.touch(0o600)
        path.write_text(f"# a comment\n{identity}\n")

    def put(self, data: bytes = SEALED, key: str = KEY, **fields: Any) -> Version:
        return self.s3.put(BUCKET, key, "v1", data, **fields)

    def decrypt(self, file: FileRef) -> Decrypted:
        parcel = Parcel(parcel_id="p", files=(file,))
        [item] = DecryptedParcel.read(decrypt_parcel(self.bench, parcel.dump())).items
        return item

    def refused(self, file: FileRef) -> tuple[ErrorCode, bool]:
        """Code and retry of a file that must leave nothing behind."""
        item = self.decrypt(file)
        assert item.problem is not None
        assert list(self.spool.iterdir()) == []
        return item.problem.error_code, item.problem.retry


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


def ref(data: bytes = SEALED, **changes: Any) -> FileRef:
    announced: dict[str, Any] = {"bucket": BUCKET, "key": KEY, "version_id": "v1", "etag": etag(data), "size": len(data)}
    times = {"event_time": "2026-11-12T00:00:00Z", "received_at": "2026-11-12T00:00:01Z", "message_id": "m1"}
    return FileRef.model_validate(announced | times | changes)


REJECT, RETRY = False, True


def test_a_file_is_published_whole(line: Line) -> None:
    line.put()
    file = ref()
    assert line.decrypt(file) == Decrypted(file=file, sha256=hashlib.sha256(SEALED).hexdigest(), recipient_identity="courier")
    path = published(line.spool, file.file_id)
    assert list(line.spool.iterdir()) == [path]
    assert path.read_bytes() == PLAIN
    assert path.stat().st_mode & 0o777 == 0o600
    assert line.s3.requests == [{"Bucket": BUCKET, "Key": KEY, "VersionId": "v1", "ChecksumMode": "ENABLED"}]


def test_the_body_is_closed(line: Line) -> None:
    version = line.put()
    line.decrypt(ref())
    line.decrypt(ref(size=1))
    assert [wire.closed for wire in version.wires] == [True, True]


def test_a_repeat_replaces_the_published_file(line: Line) -> None:
    line.put()
    path = published(line.spool, ref().file_id)
    path.write_bytes(b"an earlier attempt")
    assert line.decrypt(ref()).problem is None
    assert path.read_bytes() == PLAIN


def test_a_bucket_without_versioning_is_asked_for_no_version(line: Line) -> None:
    line.put()
    assert line.decrypt(ref(version_id=f"etag:{etag(SEALED)}")).problem is None
    assert "VersionId" not in line.s3.requests[0]


def test_each_file_of_a_parcel_has_its_own_outcome(line: Line) -> None:
    line.put()
    line.s3.put(BUCKET, "incoming/orders/b.csv.gz.age", "v1", b"not age")
    bad = ref(b"not age", key="incoming/orders/b.csv.gz.age")
    parcel = Parcel(parcel_id="p", files=(bad, ref()))
    items = DecryptedParcel.read(decrypt_parcel(line.bench, parcel.dump())).items
    assert [item.file for item in items] == [bad, ref()]
    assert [item.problem and item.problem.error_code for item in items] == [ErrorCode.AGE_HEADER_INVALID, None]


def test_a_newer_payload_is_not_guessed_at(line: Line) -> None:
    with pytest.raises(UnknownPayloadError):
        decrypt_parcel(line.bench, Parcel(parcel_id="p", files=()).dump() | {"v": 2})


def test_a_bug_surfaces(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tasks, "decrypt", broken)
    line.put()
    with pytest.raises(ZeroDivisionError):
        line.decrypt(ref())
    assert list(line.spool.iterdir()) == []


# Keys


@pytest.mark.parametrize(
    "key", ["incoming/a.csv.gz.age", "incoming//a.csv.gz.age", "elsewhere/orders/a.csv.gz.age", "incoming/orders/a.csv"]
)
def test_a_key_without_dataset_is_rejected_unread(line: Line, key: str) -> None:
    assert line.refused(ref(key=key)) == (ErrorCode.DATASET_INVALID, REJECT)
    assert line.s3.requests == []


def test_openpgp_is_refused_where_nothing_opens_it(line: Line) -> None:
    key = "incoming/orders/a.csv.gz.gpg"
    line.put(key=key)
    assert line.refused(ref(key=key)) == (ErrorCode.OPENPGP_INVALID, REJECT)


TRUE_KEYS = ["incoming/orders/two words.csv.gz.age", "incoming/orders/受注+1=%41.csv.gz.age", "incoming/orders/100%.csv.gz.age"]


@pytest.mark.parametrize("key", TRUE_KEYS)
def test_an_encoded_key_finds_its_object_and_the_result_carries_the_true_one(line: Line, key: str) -> None:
    line.put(key=key)
    item = line.decrypt(ref(key=quote(key)))
    assert item.problem is None
    assert (item.file.key, item.file.announced_key) == (key, quote(key))
    assert item.file.file_id == ref(key=quote(key)).file_id, "the poller settles by the id that it knows"
    assert published(line.spool, item.file.file_id).exists()
    assert line.slept == []


@pytest.mark.parametrize("key", TRUE_KEYS)
def test_a_key_is_tried_as_given_first(line: Line, key: str) -> None:
    line.put(key=key)
    assert line.decrypt(ref(key=key)).file == ref(key=key)
    assert [request["Key"] for request in line.s3.requests] == [key]


def test_a_rejected_file_carries_the_true_key_too(line: Line) -> None:
    key = "incoming/orders/two words.csv.gz.age"
    line.put(b"not age", key=key)
    assert line.decrypt(ref(b"not age", key=quote(key))).file.key == key


# What S3 says


def test_a_missing_object_is_rejected_after_a_few_looks(line: Line) -> None:
    assert line.refused(ref()) == (ErrorCode.OBJECT_MISSING, REJECT)
    assert line.slept == list(PAUSES_S)
    assert len(line.s3.requests) == len(PAUSES_S) + 1


def test_another_version_is_not_the_object(line: Line) -> None:
    line.put()
    assert line.refused(ref(version_id="v0")) == (ErrorCode.OBJECT_MISSING, REJECT)


def test_a_delete_marker_is_no_object(line: Line) -> None:
    line.s3.mark_deleted(BUCKET, KEY, "v1")
    assert line.refused(ref()) == (ErrorCode.OBJECT_MISSING, REJECT)


def test_an_object_that_appears_late_is_found(line: Line) -> None:
    def appear(_: dict[str, Any]) -> None:
        if line.slept:
            line.put()

    line.s3.before = appear
    assert line.decrypt(ref()).problem is None


def fail_with(line: Line, error: Exception) -> None:
    def fail(_: dict[str, Any]) -> None:
        raise error

    line.s3.before = fail


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "InternalError", "NoSuchBucket"])
def test_what_may_heal_is_retried(line: Line, code: str) -> None:
    fail_with(line, client_error(code))
    assert line.refused(ref()) == (ErrorCode.STORAGE_UNAVAILABLE, RETRY)


def test_a_403_names_the_permissions(line: Line) -> None:
    fail_with(line, client_error("AccessDenied"))
    problem = line.decrypt(ref()).problem
    assert problem is not None
    assert "s3:GetObjectVersion" in problem.message
    assert "kms:Decrypt" in problem.message


NO_CONNECTION = [
    boto.EndpointConnectionError(endpoint_url="http://s3"),
    boto.ConnectTimeoutError(endpoint_url="http://s3"),
    boto.ReadTimeoutError(endpoint_url="http://s3"),
    boto.ConnectionClosedError(endpoint_url="http://s3"),
    boto.SSLError(endpoint_url="http://s3", error="certificate"),
    boto.NoCredentialsError(),
    boto.CredentialRetrievalError(provider="process", error_msg="exit 1"),
]


@pytest.mark.parametrize("error", NO_CONNECTION, ids=lambda error: type(error).__name__)
def test_no_connection_is_retried(line: Line, error: Exception) -> None:
    fail_with(line, error)
    assert line.refused(ref()) == (ErrorCode.STORAGE_UNAVAILABLE, RETRY)


def test_a_request_that_boto_refuses_is_a_bug(line: Line) -> None:
    fail_with(line, boto.ParamValidationError(report="Invalid bucket name"))
    with pytest.raises(boto.ParamValidationError):
        line.decrypt(ref())


def test_another_etag_is_another_object(line: Line) -> None:
    line.put()
    assert line.refused(ref(etag="0" * 32)) == (ErrorCode.OBJECT_CHANGED, REJECT)


@pytest.mark.parametrize("given", ["", f'"{etag(SEALED)}"'], ids=["none", "quoted"])
def test_an_event_may_have_no_etag_or_a_quoted_one(line: Line, given: str) -> None:
    line.put()
    assert line.decrypt(ref(etag=given)).problem is None


def test_another_size_is_a_mismatch(line: Line) -> None:
    line.put()
    assert line.refused(ref(size=len(SEALED) + 1)) == (ErrorCode.SIZE_MISMATCH, REJECT)


# What comes over the wire

BREAKS = [
    urllib3.exceptions.ReadTimeoutError(None, "", "Read timed out."),  # type: ignore[arg-type]
    urllib3.exceptions.ProtocolError("Connection broken: ConnectionResetError(104)"),
    urllib3.exceptions.SSLError("decryption failed or bad record mac"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
]
CUTS = [pytest.param(cut, id=name) for cut, name in ((0, "at once"), (100, "in the header"), (150_000, "in the payload"))]


@pytest.mark.parametrize("cut", [*CUTS, len(SEALED)])
@pytest.mark.parametrize("failure", BREAKS, ids=lambda error: type(error).__name__)
def test_a_connection_that_breaks_in_mid_stream_is_retried(line: Line, failure: Exception, cut: int) -> None:
    version = line.put()
    version.data, version.failure = SEALED[:cut], failure
    assert line.refused(ref()) == (ErrorCode.STORAGE_UNAVAILABLE, RETRY)


@pytest.mark.parametrize("cut", [0, 16 * 1024, 64 * 1024, 150_000, len(SEALED) - 1])
def test_a_body_that_ends_early_is_the_connections_fault(line: Line, cut: int) -> None:
    line.put().data = SEALED[:cut]
    assert line.refused(ref()) == (ErrorCode.STORAGE_UNAVAILABLE, RETRY)


def test_a_body_that_is_longer_than_announced_is_the_connections_fault(line: Line) -> None:
    line.put().data = SEALED + b"x"
    assert line.refused(ref())[1] is RETRY


class Interrupt(BaseException):
    """Such as a time limit's exception: no Exception on purpose."""


@pytest.mark.parametrize("cut", CUTS)
def test_an_interruption_passes_and_leaves_nothing(line: Line, cut: int) -> None:
    version = line.put()
    version.data, version.failure = SEALED[:cut], Interrupt()
    with pytest.raises(Interrupt):
        line.decrypt(ref())
    assert list(line.spool.iterdir()) == []
    assert version.wires[0].closed


@pytest.mark.parametrize("kind", [{}, {"ChecksumType": "FULL_OBJECT"}], ids=["older", "full object"])
def test_s3s_sha256_of_the_whole_object_must_agree(line: Line, kind: dict[str, str]) -> None:
    line.put(ChecksumSHA256=sha256(SEALED), **kind)
    assert line.decrypt(ref()).problem is None
    published(line.spool, ref().file_id).unlink()
    line.put(ChecksumSHA256=sha256(b"another"), **kind)
    assert line.refused(ref()) == (ErrorCode.HASH_MISMATCH, REJECT)


@pytest.mark.parametrize(
    "fields", [{"ChecksumSHA256": sha256(b"the parts' hashes") + "-3"}, {"ChecksumType": "COMPOSITE"}], ids=["name", "type"]
)
def test_a_multipart_uploads_sha256_is_not_comparable(line: Line, fields: dict[str, str]) -> None:
    line.put(**{"ChecksumSHA256": sha256(b"the parts' hashes")} | fields)
    assert line.decrypt(ref()).problem is None


def test_the_checksum_that_botocore_checks_must_agree(line: Line) -> None:
    line.put().crc32 = "AAAAAA=="
    assert line.refused(ref()) == (ErrorCode.HASH_MISMATCH, REJECT)


# Damage: nothing of a damaged file is ever published

DAMAGE = {ErrorCode.AGE_HEADER_INVALID, ErrorCode.NO_MATCHING_IDENTITY, ErrorCode.CIPHERTEXT_CORRUPT}


def test_every_flipped_bit_is_noticed(line: Line) -> None:
    for offset in range(len(SMALL)):
        data = bytearray(SMALL)
        data[offset] ^= 1 << (offset % 8)
        line.put(bytes(data))
        code, retry = line.refused(ref(bytes(data)))
        assert code in DAMAGE, offset
        assert not retry


def test_every_truncation_is_noticed(line: Line) -> None:
    for end in range(len(SMALL)):
        line.put(SMALL[:end])
        code, retry = line.refused(ref(SMALL[:end]))
        assert code in DAMAGE, end
        assert not retry


@pytest.mark.parametrize("offset", [-1, -70_000, 500])
def test_damage_in_a_later_chunk_publishes_nothing(line: Line, offset: int) -> None:
    data = bytearray(SEALED)
    data[offset] ^= 0x10
    line.put(bytes(data))
    assert line.refused(ref(bytes(data))) == (ErrorCode.CIPHERTEXT_CORRUPT, REJECT)


# The spool


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """The kernel refuses to let a file of this process grow beyond 100 kB, as a full tmpfs would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_spool_is_retried(line: Line, small_files_only: None) -> None:
    line.put()
    assert line.refused(ref()) == (ErrorCode.SPOOL_UNAVAILABLE, RETRY)


def test_a_spool_that_is_gone_is_retried(line: Line) -> None:
    line.put()
    line.spool.rmdir()
    problem = line.decrypt(ref()).problem
    assert problem is not None
    assert (problem.error_code, problem.retry) == (ErrorCode.SPOOL_UNAVAILABLE, RETRY)


def test_a_partial_file_that_was_swept_away_is_retried(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = fcntl.flock

    def sweep_first(descriptor: int, operation: int) -> None:
        for path in line.spool.iterdir():
            path.unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    line.put()
    assert line.refused(ref()) == (ErrorCode.SPOOL_UNAVAILABLE, RETRY)


# The keyring


def test_another_recipient_is_rejected(line: Line) -> None:
    data = pyrage.encrypt(PLAIN, [pyrage.x25519.Identity.generate().to_public()])
    line.put(data)
    assert line.refused(ref(data)) == (ErrorCode.NO_MATCHING_IDENTITY, REJECT)


def test_the_identity_that_opened_it_is_named(line: Line) -> None:
    second = pyrage.x25519.Identity.generate()
    line.add_identity("another.key", second)
    data = pyrage.encrypt(PLAIN, [second.to_public()])
    line.put(data)
    assert line.decrypt(ref(data)).recipient_identity == "another"
    line.put()
    assert line.decrypt(ref()).recipient_identity == "courier"


def test_an_identity_added_or_removed_counts_from_the_next_file(line: Line) -> None:
    line.put()
    assert line.decrypt(ref()).problem is None
    published(line.spool, ref().file_id).unlink()
    line.add_identity("another.key", pyrage.x25519.Identity.generate())
    (line.identities / "courier.txt").unlink()
    assert line.refused(ref()) == (ErrorCode.NO_MATCHING_IDENTITY, REJECT)
    line.add_identity("courier.txt", IDENTITY)
    assert line.decrypt(ref()).problem is None


def test_keys_are_rotated_by_adding_a_file_and_removing_one_later(line: Line) -> None:
    """Nothing is restarted, and at each moment every file opens that was sent to a recipient of then, under the right name."""
    new = pyrage.x25519.Identity.generate()
    data = pyrage.encrypt(PLAIN, [new.to_public()])

    def opened_by(sent: bytes) -> str | None:
        line.put(sent)
        return line.decrypt(ref(sent)).recipient_identity

    assert (opened_by(SEALED), opened_by(data)) == ("courier", None)
    line.add_identity("2027.txt", new)
    assert (opened_by(SEALED), opened_by(data)) == ("courier", "2027")
    (line.identities / "courier.txt").unlink()
    assert (opened_by(SEALED), opened_by(data)) == (None, "2027")


def test_a_keyring_out_of_order_rejects_nothing_for_good(line: Line) -> None:
    line.put()
    (line.identities / "courier.txt").chmod(0o644)
    assert line.refused(ref()) == (ErrorCode.NO_MATCHING_IDENTITY, RETRY)
    (line.identities / "courier.txt").unlink()
    assert line.refused(ref()) == (ErrorCode.NO_MATCHING_IDENTITY, RETRY)


# Logs


def test_a_file_logs_its_start_and_its_end(line: Line) -> None:
    def pass_time(_: dict[str, Any]) -> None:
        line.clock.advance(1.5)

    line.put()
    line.s3.before = pass_time
    with capture_logs() as logs:
        line.decrypt(ref())
    start, end = [entry for entry in logs if entry["action"] == "decrypt"]
    same = {"action": "decrypt", "file": ref().file_id, "dataset": "orders", "message_id": "m1"}
    assert start == same | {"event": "start", "log_level": "info", "key": KEY, "size": len(SEALED), "attempt": 1}
    assert end == same | {"event": "success", "log_level": "info", "duration_s": 1.5, "identity": "courier", "signer": None}


@pytest.mark.parametrize(("code", "event"), [("NoSuchKey", "reject"), ("SlowDown", "retry")])
def test_a_problem_is_logged_with_its_code(line: Line, code: str, event: str) -> None:
    fail_with(line, client_error(code))
    with capture_logs() as logs:
        problem = line.decrypt(ref()).problem
    assert problem is not None
    assert logs[-1]["event"] == event
    assert logs[-1]["error_code"] == problem.error_code
    assert logs[-1]["dataset"] == "orders"
