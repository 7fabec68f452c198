"""Tagging and deleting one object version, and no other, whatever S3 says."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from decryptor.tidy import Desk, tidy, tidy_parcel
from fakes.line import BUCKET, KEY, file_ref
from fakes.s3 import FakeS3, client_error, etag
from shared import failpoint
from shared.contract import AfterLoad, Chore, FileRef, SettledParcel, TidyParcel, UnknownPayloadError
from shared.errors import CourierError, ErrorCode, Rejected, Retryable
from shared.failpoint import FailpointError, Point

BOTH = [AfterLoad.TAG, AfterLoad.DELETE]
LOADED = {"hikyaku": "loaded"}


@pytest.fixture
def s3() -> FakeS3:
    """With three versions of one key."""
    made = FakeS3()
    for version in ("v0", "v1", "v2"):
        made.put(BUCKET, KEY, version, version.encode())
    return made


def versions(s3: FakeS3) -> dict[str, dict[str, str]]:
    """Tags of what is there, by version."""
    return {name[2]: version.tags for name, version in s3.versions.items()}


def unversioned(content: bytes = b"a", version: str = "etag:") -> FileRef:
    return file_ref(version=version).model_copy(update={"etag": etag(content)})


def test_just_this_version_is_deleted_for_good(s3: FakeS3) -> None:
    for _ in range(2):
        tidy(s3, file_ref(), AfterLoad.DELETE)
        assert versions(s3) == {"v0": {}, "v2": {}}


def test_just_this_version_is_tagged_and_keeps_its_other_tags(s3: FakeS3) -> None:
    s3.versions[BUCKET, KEY, "v1"].tags = {"cost": "12", "hikyaku": "other"}
    for _ in range(2):
        tidy(s3, file_ref(), AfterLoad.TAG)
        assert versions(s3) == {"v0": {}, "v1": {"cost": "12"} | LOADED, "v2": {}}
    assert sum("Tagging" in request for request in s3.requests) == 1


@pytest.mark.parametrize("wish", BOTH)
@pytest.mark.parametrize("missing", ["key", "version", "behind a delete marker"])
def test_what_is_gone_is_tidy(s3: FakeS3, wish: AfterLoad, missing: str) -> None:
    if missing == "key":
        s3.versions.clear()
    elif missing == "version":
        del s3.versions[BUCKET, KEY, "v1"]
    else:
        s3.mark_deleted(BUCKET, KEY, "v1")
    tidy(s3, file_ref(), wish)


@pytest.mark.parametrize("wish", BOTH)
def test_the_key_may_be_spelt_as_localstack_announces_it(s3: FakeS3, wish: AfterLoad) -> None:
    s3.put(BUCKET, "incoming/orders/a b.csv.gz.age", "v1", b"x")
    tidy(s3, file_ref(key="incoming/orders/a%20b.csv.gz.age"), wish)
    version = s3.versions.get((BUCKET, "incoming/orders/a b.csv.gz.age", "v1"))
    assert (version.tags if version else None) == (LOADED if wish is AfterLoad.TAG else None)


@pytest.mark.parametrize(("now", "left"), [(b"a", 0), (b"replaced", 1)])
def test_without_versioning_only_what_is_still_the_same_is_deleted(now: bytes, left: int) -> None:
    s3 = FakeS3()
    s3.put(BUCKET, KEY, "", now)
    tidy(s3, unversioned(), AfterLoad.DELETE)
    assert len(s3.versions) == left
    assert all(request.get("IfMatch") == f'"{etag(b"a")}"' for request in s3.requests[1:])


def test_what_is_replaced_between_the_look_and_the_deletion_stays() -> None:
    s3 = FakeS3()
    s3.put(BUCKET, KEY, "", b"a")

    def replace(request: dict[str, Any]) -> None:
        if "IfMatch" in request:
            s3.put(BUCKET, KEY, "", b"replaced")

    s3.before = replace
    tidy(s3, unversioned(), AfterLoad.DELETE)
    assert len(s3.versions) == 1


@pytest.mark.parametrize(
    ("file", "wish"),
    [
        (unversioned(), AfterLoad.TAG),
        (unversioned(version="null"), AfterLoad.TAG),
        (unversioned(version="null"), AfterLoad.DELETE),
        (file_ref(version="etag:"), AfterLoad.DELETE),
        (file_ref(), "burn"),
    ],
)
def test_what_might_hit_another_object_is_never_done(s3: FakeS3, file: FileRef, wish: str) -> None:
    with pytest.raises(Rejected) as caught:
        tidy(s3, file, wish)
    assert caught.value.error_code == ErrorCode.TIDY_REFUSED
    assert s3.requests == []


def failing(error: Exception) -> Callable[[dict[str, Any]], None]:
    def fail(_: dict[str, Any]) -> None:
        raise error

    return fail


@pytest.mark.parametrize("wish", BOTH)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (client_error("AccessDenied"), "tidy_refused"),
        (client_error("NotImplemented"), "tidy_refused"),
        (client_error("NoSuchBucket"), "tidy_refused"),
        (client_error("SlowDown"), "storage_unavailable"),
        (client_error("InternalError"), "storage_unavailable"),
        (client_error("ExpiredToken"), "storage_unavailable"),
        (EndpointConnectionError(endpoint_url="s3"), "storage_unavailable"),
    ],
)
def test_a_refusal_is_told_from_an_outage(s3: FakeS3, wish: AfterLoad, error: Exception, code: str) -> None:
    s3.before = failing(error)
    with pytest.raises(Retryable) as caught:
        tidy(s3, file_ref(), wish)
    assert caught.value.error_code == code
    assert versions(s3) == {"v0": {}, "v1": {}, "v2": {}}


def test_the_task_reports_of_each_and_one_failure_holds_up_no_other(s3: FakeS3) -> None:
    s3.before = lambda request: failing(client_error("AccessDenied"))(request) if request["VersionId"] == "v1" else None
    files = [file_ref(f"m{n}", version=f"v{n}") for n in range(3)]
    parcel = TidyParcel(parcel_id="p", chores=tuple(Chore(file=file, after_load="delete") for file in files))
    made = SettledParcel.read(tidy_parcel(Desk(lambda: s3), parcel.dump()))
    assert (made.parcel_id, made.settlements) == ("p", ())
    assert [(each.message_id, each.file_id, each.problem and each.problem.error_code) for each in made.tidied] == [
        (file.message_id, file.file_id, "tidy_refused" if file.version_id == "v1" else None) for file in files
    ]
    assert versions(s3) == {"v1": {}}


def test_a_bug_surfaces(s3: FakeS3) -> None:
    s3.before = failing(ZeroDivisionError())
    chore = Chore(file=file_ref(), after_load="tag")
    with pytest.raises(ZeroDivisionError):
        tidy_parcel(Desk(lambda: s3), TidyParcel(parcel_id="p", chores=(chore,)).dump())


@pytest.mark.parametrize(("point", "left"), [(Point.DECRYPTOR_TIDYING, {"v0", "v1", "v2"}), (Point.DECRYPTOR_TIDIED, {"v0", "v2"})])
def test_the_step_lies_between_two_points(s3: FakeS3, point: Point, left: set[str]) -> None:
    """What S3 knows when the process ends just there."""
    parcel = TidyParcel(parcel_id="p", chores=(Chore(file=file_ref(), after_load="delete"),))
    failpoint.arm({failpoint.VARIABLE: f"{point}=raise"})
    try:
        with pytest.raises(FailpointError):
            tidy_parcel(Desk(lambda: s3), parcel.dump())
    finally:
        failpoint.arm({})
    assert set(versions(s3)) == left


def test_a_newer_payload_is_not_guessed_at() -> None:
    with pytest.raises(UnknownPayloadError):
        tidy_parcel(Desk(FakeS3), TidyParcel(parcel_id="p", chores=()).dump() | {"v": 2})


def test_what_a_person_reads_names_what_to_mend(s3: FakeS3) -> None:
    s3.before = failing(client_error("AccessDenied"))
    with pytest.raises(CourierError, match=r"403 AccessDenied.*AfterLoad"):
        tidy(s3, file_ref(), AfterLoad.TAG)
