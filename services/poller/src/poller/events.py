"""What an SQS message says: which object versions were created.

Understood: EventBridge's `Object Created` (S3 User Guide, "EventBridge event message structure") and native S3 notifications
(S3 User Guide, "Event message structure"), whose keys are URL-encoded with `+` for a space. EventBridge gives keys as they
are on AWS and percent-encoded on LocalStack; the key is passed on as given, and the decryptor tries the decoded one when
there is no such version.
"""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import unquote, unquote_plus

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from shared.keys import is_ours

EVENTBRIDGE_CREATED = "Object Created"
NATIVE_CREATED = "ObjectCreated:"
S3_BORN, LATEST = 2006, 9998
"""Years; the year after the latest leaves room for any time zone."""
LONGEST_KEY = LONGEST_VERSION = 1024
"""Bytes, Amazon S3 User Guide, naming objects and version IDs. The ledger's primary key holds both, and no more (PostgreSQL: 2,704)."""
LARGEST_OBJECT = 50 * 1024**4
"""Bytes, Amazon S3 User Guide, uploading objects."""


class InvalidEventError(Exception):
    """The message is no event that we know; it belongs in the dead-letter queue, for a person to look at."""


@dataclass(frozen=True, slots=True)
class Created:
    """An object version that the line should carry. `size` in bytes, `event_time` in ISO 8601."""

    bucket: str
    key: str
    version_id: str
    etag: str
    size: int
    sequencer: str
    event_time: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that is well understood and none of our business; the reason is logged."""

    reason: str


def _time(text: str) -> str:
    """In UTC, as S3 itself writes it: Python reads week dates, any separator and offsets of a day, which PostgreSQL does not."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None or not S3_BORN <= moment.year <= LATEST:
        raise ValueError("is no time of S3's")
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _storable(text: str) -> str:
    """Text that UTF-8 and PostgreSQL can hold (PostgreSQL, chapter 8.3: no NUL)."""
    if "\0" in text:
        raise ValueError("holds a NUL")
    text.encode()
    return text


def _version(text: str) -> str:
    if len(text.encode()) > LONGEST_VERSION:
        raise ValueError("is too long for S3")
    return text


def _key(text: str) -> str:
    """A key that can be an object's: one too long for that as it is given can only be encoded, as LocalStack does."""
    found = text if len(text.encode()) <= LONGEST_KEY else _storable(unquote(text))
    if len(found.encode()) > LONGEST_KEY:
        raise ValueError("is too long for S3")
    return found


_Time = Annotated[str, AfterValidator(_time)]
_Text = Annotated[str, AfterValidator(_storable)]
_Version = Annotated[_Text, AfterValidator(_version)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Object(_Strict):
    key: Annotated[str, AfterValidator(unquote_plus), AfterValidator(_storable), AfterValidator(_key)] = Field(min_length=1)
    size: int = Field(default=0, ge=0, le=LARGEST_OBJECT)
    etag: _Version = Field(default="", alias="eTag")
    version_id: _Version | None = Field(default=None, alias="versionId")
    sequencer: _Text = Field(default="", max_length=256)


class _EventBridgeObject(_Object):
    key: Annotated[_Text, AfterValidator(_key)] = Field(min_length=1)
    etag: _Version = ""
    version_id: _Version | None = Field(default=None, alias="version-id")


class _Bucket(_Strict):
    name: _Text = Field(min_length=1)


class _Detail(_Strict):
    bucket: _Bucket
    object: _EventBridgeObject


class _EventBridgeEvent(_Strict):
    time: _Time
    detail: _Detail


class _S3(_Strict):
    bucket: _Bucket
    object: _Object


class _NativeRecord(_Strict):
    event_name: str = Field(alias="eventName")
    event_time: _Time = Field(alias="eventTime")
    s3: _S3


def parse(body: str, bucket: str) -> list[Created] | Ignored:
    """Object versions that the message announces in `bucket`, or why there are none.

    Raises:
        InvalidEventError: it is not JSON, or not such an event.
    """
    event = _json_object(body)
    try:
        if event.get("source") == "aws.s3" and "detail-type" in event:
            return _from_eventbridge(event, bucket)
        if event.get("Event") == "s3:TestEvent":
            return Ignored("S3 test event")
        if isinstance(event.get("Records"), list):
            return _from_native(event["Records"], bucket)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
        raise InvalidEventError(f"the event's fields are not as S3 documents them: {where}") from None
    raise InvalidEventError("neither an EventBridge event of S3 nor a native S3 notification")


def _json_object(body: str) -> dict[str, Any]:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidEventError("the body is not JSON") from None
    if not isinstance(event, dict):
        raise InvalidEventError("the body is not a JSON object")
    return event


def _from_eventbridge(event: dict[str, Any], bucket: str) -> list[Created] | Ignored:
    if not isinstance(event["detail-type"], str):
        raise InvalidEventError("the event's detail-type is not text")
    if event["detail-type"] != EVENTBRIDGE_CREATED:
        return Ignored("an event of another kind than Object Created")
    parsed = _EventBridgeEvent.model_validate(event)
    detail = parsed.detail
    return _ours([_created(detail.bucket.name, detail.object.key, detail.object, parsed.time)], bucket)


def _from_native(records: list[Any], bucket: str) -> list[Created] | Ignored:
    parsed = [_NativeRecord.model_validate(record) for record in records]
    created = [
        _created(record.s3.bucket.name, record.s3.object.key, record.s3.object, record.event_time)
        for record in parsed
        if record.event_name.startswith(NATIVE_CREATED)
    ]
    return _ours(created, bucket)


def _created(bucket: str, key: str, obj: _Object, event_time: str) -> Created:
    if not obj.version_id and not obj.etag:
        raise InvalidEventError("the event names neither a version nor an etag")
    return Created(
        bucket=bucket,
        key=key,
        version_id=obj.version_id or f"etag:{obj.etag}",
        etag=obj.etag.strip('"'),
        size=obj.size,
        sequencer=obj.sequencer,
        event_time=event_time,
    )


def _ours(created: list[Created], bucket: str) -> list[Created] | Ignored:
    ours = [each for each in created if each.bucket == bucket and is_ours(each.key)]
    return ours or Ignored("no object of ours: another bucket, or not incoming/*.csv.gz.age or .gpg")
