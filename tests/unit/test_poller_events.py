import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fakes.line import BUCKET, body, eventbridge, native, native_record
from poller.events import Created, Ignored, InvalidEventError, parse

KEYS = [
    pytest.param("incoming/orders/a.csv.gz.age", id="plain"),
    pytest.param("incoming/orders/b.csv.gz.gpg", id="gpg"),
    pytest.param("incoming/orders/two words.csv.gz.age", id="space"),
    pytest.param("incoming/orders/1+1=2.csv.gz.age", id="plus"),
    pytest.param("incoming/orders/100%25 % .csv.gz.age", id="percent"),
    pytest.param("incoming/orders/受注 2026年.csv.gz.age", id="Japanese"),
    pytest.param("incoming/orders/が.csv.gz.age", id="combining"),
    pytest.param("incoming/orders/&<>\"'\\.csv.gz.age", id="punctuation"),
    pytest.param("incoming/orders/" + "x" * (1024 - 27) + ".csv.gz.age", id="1024 bytes"),
    pytest.param("incoming/test/orders/a.csv.gz.age", id="dry run"),
]


def only(found: list[Created] | Ignored) -> Created:
    assert isinstance(found, list)
    [created] = found
    return created


@pytest.mark.parametrize("key", KEYS)
def test_eventbridge_gives_the_key_as_it_is(key: str) -> None:
    created = only(parse(body(eventbridge(key, version="abc", size=42)), BUCKET))
    assert created == Created(
        bucket=BUCKET,
        key=key,
        version_id="abc",
        etag="b1946ac92492d2347c6235b4d2611184",
        size=42,
        sequencer="00617F08299329D189",
        event_time="2026-11-12T00:00:00Z",
    )


def test_a_percent_encoded_key_of_eventbridge_is_passed_on_as_given() -> None:
    """LocalStack encodes, AWS does not: only S3 can tell which of the two exists."""
    key = "incoming/orders/two%20words%2B%E5%8F%97.csv.gz.age"
    assert only(parse(body(eventbridge(key)), BUCKET)).key == key


@pytest.mark.parametrize("key", KEYS)
def test_native_notifications_encode_the_key(key: str) -> None:
    created = only(parse(body(native(native_record(key, version="abc"))), BUCKET))
    assert (created.key, created.version_id, created.event_time) == (key, "abc", "2026-11-12T00:00:00Z")
    assert (created.etag, created.sequencer, created.size) == ("d41d8cd98f00b204e9800998ecf8427e", "0A1B2C", 10)


def test_a_native_notification_may_announce_several_files() -> None:
    records = [native_record(f"incoming/orders/{n}.csv.gz.age") for n in range(3)]
    found = parse(body(native(*records)), BUCKET)
    assert isinstance(found, list)
    assert [created.key for created in found] == [f"incoming/orders/{n}.csv.gz.age" for n in range(3)]


def test_of_several_records_only_ours_are_taken() -> None:
    ours = native_record("incoming/orders/ours.csv.gz.age")
    others = [native_record("incoming/x.txt"), native_record(bucket="foreign"), native_record(name="ObjectRemoved:Delete")]
    assert only(parse(body(native(*others, ours)), BUCKET)).key == "incoming/orders/ours.csv.gz.age"


@pytest.mark.parametrize("event", [eventbridge(version=None), native(native_record(version=None))])
def test_without_versioning_the_etag_is_the_identity(event: dict[str, Any]) -> None:
    created = only(parse(body(event), BUCKET))
    assert created.version_id == f"etag:{created.etag}"


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "t", "Bucket": BUCKET}, id="test event"),
        pytest.param({**eventbridge(), "detail-type": "Object Deleted"}, id="deleted"),
        pytest.param({**eventbridge(), "detail-type": "Object Tags Added", "detail": {}}, id="unknown detail"),
        pytest.param(native(native_record(name="ObjectRemoved:Delete")), id="native removed"),
        pytest.param(native(), id="no records"),
        pytest.param(eventbridge(bucket="foreign"), id="foreign bucket"),
        pytest.param(native(native_record(bucket="foreign")), id="native foreign bucket"),
        pytest.param(eventbridge("outgoing/orders/a.csv.gz.age"), id="foreign prefix"),
        pytest.param(eventbridge("incoming/orders/a.csv.gz"), id="foreign suffix"),
        pytest.param(eventbridge("receipts/incoming/orders/a.csv.gz.age"), id="receipt"),
        pytest.param(eventbridge("rejects/incoming/orders/a.csv.gz.age.csv.gz.age"), id="records that come back"),
    ],
)
def test_what_is_understood_and_not_ours_is_ignored(event: dict[str, Any]) -> None:
    assert isinstance(parse(body(event), BUCKET), Ignored)


def _without(*path: str) -> dict[str, Any]:
    event = eventbridge()
    inner = event
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return event


def _with(value: object, *path: str) -> dict[str, Any]:
    event = eventbridge()
    inner = event
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return event


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("not json", id="no JSON"),
        pytest.param("[]", id="list"),
        pytest.param("null", id="null"),
        pytest.param('"text"', id="text"),
        pytest.param("{}", id="no event"),
        pytest.param('{"Records": {}}', id="records no list"),
        pytest.param('{"Records": [1]}', id="record no object"),
        pytest.param("[" * 100_000, id="deeply nested"),
        pytest.param('{"a":' * 100_000, id="deeply nested objects"),
        pytest.param("9" * 10_000, id="a number too long to read"),
        pytest.param('{"source": "aws.ec2", "detail-type": "Object Created"}', id="another service"),
        pytest.param(body(_without("detail")), id="no detail"),
        pytest.param(body(_without("time")), id="no time"),
        pytest.param(body(_without("detail", "bucket")), id="no bucket"),
        pytest.param(body(_without("detail", "object", "key")), id="no key"),
        pytest.param(body(_with("", "detail", "object", "key")), id="empty key"),
        pytest.param(body(_with(7, "detail", "object", "key")), id="key a number"),
        pytest.param(body(_with("incoming/" + "x" * 5000, "detail", "object", "key")), id="endless key"),
        pytest.param(body(_with("\ud800", "detail", "object", "key")), id="lone surrogate"),
        pytest.param(body(_with("12", "detail", "object", "size")), id="size a text"),
        pytest.param(body(_with(-1, "detail", "object", "size")), id="size negative"),
        pytest.param(body(_with(1.5, "detail", "object", "size")), id="size a fraction"),
        pytest.param(body(_with(True, "detail", "object", "size")), id="size a truth"),  # noqa: FBT003 - the wrong value itself
        pytest.param(body(_with(["v"], "detail", "object", "version-id")), id="version a list"),
        pytest.param(body(_with(None, "detail", "object")), id="no object"),
        pytest.param('{"Records": [{"eventName": "ObjectCreated:Put"}]}', id="record without its parts"),
    ],
)
def test_what_is_not_understood_is_invalid(text: str) -> None:
    with pytest.raises(InvalidEventError):
        parse(text, BUCKET)


def test_a_huge_event_is_read_all_the_same() -> None:
    event = eventbridge() | {"padding": "x" * 900_000, "more": list(range(10_000))}
    assert only(parse(body(event), BUCKET)).version_id == "v1"


def test_the_error_names_the_fields_and_never_their_values() -> None:
    with pytest.raises(InvalidEventError, match=r"detail\.object\.size") as caught:
        parse(body(_with("private", "detail", "object", "size")), BUCKET)
    assert "private" not in str(caught.value)


def test_a_size_that_no_object_can_have_is_invalid() -> None:
    """It would overflow in the deadline's arithmetic and in the ledger's bigint: a crash loop for one forged message."""
    with pytest.raises(InvalidEventError):
        parse(body(_with(10**400, "detail", "object", "size")), BUCKET)


def test_an_event_without_version_and_etag_is_invalid() -> None:
    """Its identity would be the key alone, so that the second such upload would pass for the first and never load."""
    event = _without("detail", "object", "etag")
    del event["detail"]["object"]["version-id"]
    with pytest.raises(InvalidEventError):
        parse(body(event), BUCKET)


@pytest.mark.parametrize("text", ["nul\0", "surrogate\ud800"])
@pytest.mark.parametrize("field", ["key", "version-id", "etag", "sequencer"])
def test_text_that_the_ledger_could_not_hold_is_invalid(field: str, text: str) -> None:
    value = f"incoming/orders/{text}.csv.gz.age" if field == "key" else text
    with pytest.raises(InvalidEventError):
        parse(json.dumps(_with(value, "detail", "object", field)), BUCKET)


def test_a_native_key_that_decodes_to_a_nul_is_invalid() -> None:
    with pytest.raises(InvalidEventError):
        parse(body(native(native_record(key="incoming/orders/a\0.csv.gz.age"))), BUCKET)


@pytest.mark.parametrize("time", ["2026-11-24T10:00:00", "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
def test_a_time_without_its_zone_or_before_s3_is_invalid(time: str) -> None:
    with pytest.raises(InvalidEventError):
        parse(json.dumps(_with(time, "time")), BUCKET)


@pytest.mark.parametrize(
    ("given", "passed_on"),
    {
        "2026-11-24T10:00:00.123Z": "2026-11-24T10:00:00.123000Z",
        "2026-11-24T10:00:00+09:00": "2026-11-24T01:00:00Z",
        "2026-11-24T10:00:00+23:59": "2026-11-23T10:01:00Z",
        "2026-11-24T10:00:00-18:00:00.5": "2026-11-25T04:00:00.500000Z",
        "2026-W48-2T10:00:00Z": "2026-11-24T10:00:00Z",
        "20261124T100000,5Z": "2026-11-24T10:00:00.500000Z",
        "2026-11-24\n10:00:00Z": "2026-11-24T10:00:00Z",
        "2026-11-24座10:00:00Z": "2026-11-24T10:00:00Z",
    }.items(),
)
def test_a_time_is_passed_on_as_postgresql_reads_it(given: str, passed_on: str) -> None:
    """Its input routines (PostgreSQL, appendix B) know no week dates, and no offset beyond 15:59:59."""
    assert only(parse(body(_with(given, "time")), BUCKET)).event_time == passed_on


def test_a_key_is_as_long_as_s3_allows_and_no_longer() -> None:
    """Three bytes a character: 1,024 bytes of them are 3,072 as LocalStack encodes them, and too many for an index of PostgreSQL's."""
    longest = "incoming/orders/" + "座" * 332 + ".csv.gz.age"
    assert len(longest.encode()) == 1023
    assert only(parse(body(eventbridge(quote(longest))), BUCKET)).key == longest
    longer = longest.replace(".csv", "座.csv")
    for event in (eventbridge(longer), eventbridge(quote(longer)), native(native_record(longer))):
        with pytest.raises(InvalidEventError, match="key"):
            parse(body(event), BUCKET)


def test_a_long_key_that_decodes_to_a_nul_is_invalid() -> None:
    with pytest.raises(InvalidEventError):
        parse(body(eventbridge("incoming/orders/" + "%00" * 400 + ".csv.gz.age")), BUCKET)


@pytest.mark.parametrize("field", ["version-id", "etag"])
def test_no_version_has_a_longer_name_than_s3_gives(field: str) -> None:
    assert only(parse(body(_with("v" * 1024, "detail", "object", field)), BUCKET))
    with pytest.raises(InvalidEventError):
        parse(body(_with("座" * 342, "detail", "object", field)), BUCKET)


def test_a_time_that_is_no_time_is_invalid() -> None:
    with pytest.raises(InvalidEventError):
        parse(body(_with("yesterday", "time")), BUCKET)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
envelope = st.fixed_dictionaries(
    {},
    optional={
        "source": st.just("aws.s3") | json_like,
        "detail-type": st.just("Object Created") | json_like,
        "time": st.text() | json_like,
        "Event": st.just("s3:TestEvent") | json_like,
        "Records": st.lists(json_like, max_size=3) | json_like,
        "detail": json_like
        | st.fixed_dictionaries({"bucket": json_like, "object": json_like})
        | st.fixed_dictionaries(
            {
                "bucket": st.fixed_dictionaries({"name": st.just(BUCKET) | json_like}),
                "object": st.dictionaries(st.sampled_from(["key", "size", "etag", "version-id", "sequencer"]), json_like),
            }
        ),
    },
)


@given(json_like | envelope)
@example({"source": "aws.s3", "detail-type": []})
def test_no_json_makes_parse_raise_anything_else(value: object) -> None:
    check_parse(json.dumps(value))


@given(st.text())
def test_no_text_makes_parse_raise_anything_else(text: str) -> None:
    check_parse(text)


def check_parse(text: str) -> None:
    try:
        found = parse(text, BUCKET)
    except InvalidEventError as error:
        assert str(error)  # noqa: PT017 - raising is one of the two allowed outcomes
    else:
        assert isinstance(found, Ignored) or found


keys_of_ours = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200)


@given(keys_of_ours)
def test_every_key_survives_both_forms(name: str) -> None:
    key = f"incoming/orders/{name}.csv.gz.age"
    assert only(parse(body(eventbridge(key)), BUCKET)).key == key
    assert only(parse(body(native(native_record(key))), BUCKET)).key == key
