"""Messages that nobody but a forger would send."""

import json
from collections.abc import Callable

from hostile.case import IGNORED, TOO_LONG, Case, Message, Subject, altered, told

TEBI = 1024**4
ABSENT = "object_missing"


def _native(**changes: object) -> Message:
    """A native notification of S3's, with changes to its record's object."""

    def message(subject: Subject) -> str:
        obj = {"key": subject.key, "size": 10, "eTag": subject.etag, "versionId": subject.version_id, **changes}
        s3 = {"bucket": {"name": subject.bucket}, "object": obj}
        return json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "eventTime": "2026-11-24T00:00:00.000Z", "s3": s3}]})

    return message


def _of(text: str) -> Message:
    return lambda _: text


def _nested(subject: Subject, depth: int) -> str:
    return told(subject)[:-1] + ', "x": ' + "[" * depth + "]" * depth + "}"


MESSAGES: dict[str, tuple[str, Message]] = {
    "another bucket": (IGNORED, altered(detail={"bucket": {"name": "theirs"}, "object": {"key": "k", "etag": "e", "size": 1}})),
    "native, another bucket": (IGNORED, lambda subject: _native()(Subject("theirs", subject.key, subject.version_id))),
    "another kind of event": (IGNORED, lambda subject: told(subject).replace("Object Created", "Object Deleted")),
    "S3's test event": (IGNORED, _of('{"Event": "s3:TestEvent"}')),
    "no records": (IGNORED, _of('{"Records": []}')),
    "another service": ("event_invalid", lambda subject: told(subject).replace("aws.s3", "aws.ec2")),
    "absent object": (ABSENT, told),
    "native, absent object": (ABSENT, _native()),
    "native, with an encoded name": (ABSENT, lambda subject: _native(key=subject.key.replace("/", "%2F"))(subject)),
    "size of 50 TB": ("too_large", altered(size=50 * TEBI)),
    "size of nothing": (ABSENT, altered(size=0)),
    "size beyond any object": ("event_invalid", altered(size=50 * TEBI + 1)),
    "size of 400 digits": ("event_invalid", altered(size=10**400)),
    "size below nothing": ("event_invalid", altered(size=-1)),
    "size a fraction": ("event_invalid", altered(size=1.5)),
    "size a text": ("event_invalid", altered(size="10")),
    "size infinite": ("event_invalid", altered(size=float("inf"))),
    "size not a number": ("event_invalid", altered(size=float("nan"))),
    "key a number": ("event_invalid", altered(key=7)),
    "key empty": ("event_invalid", altered(key="")),
    "key of 4,096 characters": ("event_invalid", altered(key="incoming/x/" + "座" * 4074 + ".csv.gz.age")),
    "key with a NUL": ("event_invalid", altered(key="incoming/x/\0.csv.gz.age")),
    "key with half a surrogate": ("event_invalid", altered(key="incoming/x/\ud800.csv.gz.age")),
    "native, key with an encoded NUL": ("event_invalid", _native(key="incoming/x/%00.csv.gz.age")),
    "version a list": ("event_invalid", altered(version_id=["v"])),
    "version with a NUL": ("event_invalid", altered(version_id="\0")),
    "version of 1,025 bytes": ("event_invalid", altered(version_id="v" * 1025)),
    "etag of a megabyte's tenth": ("event_invalid", altered(etag="e" * 100_000)),
    "no version and no etag": ("event_invalid", altered(version_id=None, etag=None)),
    "sequencer of 300": ("event_invalid", altered(sequencer="0" * 300)),
    "sequencer that is no hex": (ABSENT, altered(sequencer="'; --")),
    "no time": ("event_invalid", altered(time=None)),
    "time a number": ("event_invalid", altered(time=0)),
    "year 0": ("event_invalid", altered(time="0000-01-01T00:00:00Z")),
    "year 1, far in the east": ("event_invalid", altered(time="0001-01-01T00:00:00+23:00")),
    "year 9999, far in the west": ("event_invalid", altered(time="9999-12-31T23:59:59-23:00")),
    "time without a zone": ("event_invalid", altered(time="2026-11-24T00:00:00")),
    "time of no day": ("event_invalid", altered(time="2026-02-30T00:00:00Z")),
    "offset of nearly a day": (ABSENT, altered(time="2026-11-24T00:00:00+23:59")),
    "offset of seconds": (ABSENT, altered(time="2026-11-24T00:00:00-18:00:00.5")),
    "week date": (ABSENT, altered(time="2026-W48-2T00:00:00Z")),
    "time parted by a kanji": (ABSENT, altered(time="2026-11-24時00:00:00Z")),
    "no detail": ("event_invalid", altered(detail=None)),
    "detail a list": ("event_invalid", altered(detail=[])),
    "an empty text": ("event_invalid", _of('""')),
    "no JSON": ("event_invalid", _of("<xml/>")),
    "null": ("event_invalid", _of("null")),
    "a list": ("event_invalid", _of("[]")),
    "a text": ("event_invalid", _of('"a"')),
    "an empty object": ("event_invalid", _of("{}")),
    "cut": ("event_invalid", lambda subject: told(subject)[:-1]),
    "something behind": ("event_invalid", lambda subject: told(subject) + "x"),
    "byte order mark": ("event_invalid", lambda subject: "\ufeff" + told(subject)),
    "120,000 lists deep": ("event_invalid", _of("[" * 120_000)),
    "40,000 objects deep": ("event_invalid", _of('{"a":' * 40_000 + "1" + "}" * 40_000)),
    "an event with 50,000 lists in it": ("event_invalid", lambda subject: _nested(subject, 50_000)),
    "an event with 200 lists in it": (ABSENT, lambda subject: _nested(subject, 200)),
    "a number of 200,000 digits": ("event_invalid", _of("9" * 200_000)),
    "records without their parts": ("event_invalid", _of(json.dumps({"Records": [{}] * 5000}))),
    "records of numbers": ("event_invalid", _of(json.dumps({"Records": [1, 2]}))),
    "10,000 names": (ABSENT, lambda subject: told(subject)[:-1] + "".join(f', "n{n}": {n}' for n in range(10_000)) + "}"),
    "the same name twice": (ABSENT, lambda subject: told(subject).replace('"key":', '"key": "outgoing/x", "key":')),
    "250 KB of padding": (ABSENT, lambda subject: told(subject)[:-1] + f', "x": "{"x" * 250_000}"}}'),
    "more than 256 KB": (TOO_LONG, lambda subject: told(subject)[:-1] + f', "x": "{"x" * 270_000}"}}'),
}


def forged(dataset: str) -> list[Case]:
    """Messages about no object."""
    return [
        Case(
            name=name, expected=expected, key=f"incoming/{dataset}/forged-{number}.csv.gz.age", version=f"forged-{number}", message=message
        )
        for number, (name, (expected, message)) in enumerate(MESSAGES.items())
    ]


def lies(dataset: str, sealed: Callable[[], bytes]) -> list[Case]:
    """Messages that say of an object what is not so."""
    said: dict[str, tuple[str, Message]] = {
        "another size": ("size_mismatch", altered(size=1)),
        "another etag": ("object_changed", altered(etag="0" * 32)),
        "another version": (ABSENT, altered(version_id="lies-2")),
        "the version 'null'": (ABSENT, altered(version_id="null")),
        "another key": (ABSENT, altered(key=f"incoming/{dataset}/lies-other.csv.gz.age")),
        "a look-alike key": (ABSENT, altered(key=f"incoming/{dataset}/ｌies-5.csv.gz.age")),
    }
    return [
        Case(name=name, expected=expected, key=f"incoming/{dataset}/lies-{number}.csv.gz.age", content=sealed(), message=message)
        for number, (name, (expected, message)) in enumerate(said.items())
    ]
