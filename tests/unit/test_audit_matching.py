"""The bucket's keys beside the ledger's: right, against a naive model, and in bounded memory."""

import datetime as dt
import json
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.versions import Bucket, DeadLetterQueue, Listed
from hikyaku.errors import UserError
from hikyaku.operator.audit.finding import Kind, Report
from hikyaku.operator.audit.judge import Judge
from hikyaku.operator.event import announced
from hikyaku.operator.inventory import queues
from hikyaku.operator.inventory.bucket import shelves
from hikyaku.operator.inventory.matching import Row, joined, pairs
from poller import events
from shared import keys

NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
KEYS = st.text(st.sampled_from("aAz/é飛\U0001f4e6 %+~"), min_size=1, max_size=4)
MOST_MIB = 32
"""Of Python objects, over 100,000 versions; all of them at once take some 100."""


def row(key: str, version_id: str = "v1", **changes: Any) -> Row:
    values = {"status": "loaded", "error_code": None, "dataset": "orders", "event_time": NOW, "sequencer": "A1", "updated_at": NOW}
    return Row(**{"key": key, "version_id": version_id, **values, **changes})


@given(left=st.dictionaries(KEYS, st.integers()), right=st.dictionaries(KEYS, st.integers()))
def test_a_merge_join_gives_what_dictionaries_give(left: dict[str, int], right: dict[str, int]) -> None:
    def stream(side: dict[str, int]) -> list[tuple[str, int]]:
        return sorted(side.items(), key=lambda item: item[0].encode())

    expected = [(key, left.get(key), right.get(key)) for key in sorted({*left, *right}, key=str.encode)]
    assert list(joined(stream(left), stream(right))) == expected


@given(
    versions=st.lists(st.tuples(KEYS, st.integers(0, 3)), unique=True),
    markers=st.sets(KEYS),
    rows=st.lists(st.tuples(KEYS, st.integers(0, 3)), unique=True),
)
def test_each_version_meets_its_row(versions: list[tuple[str, int]], markers: set[str], rows: list[tuple[str, int]]) -> None:
    # S3: keys by their bytes, the newest version first; a marker is newer than what it covers.
    listed = [Listed(key, str(number), NOW) for key, number in versions]
    listed += [Listed(key, "marker", NOW, None, is_latest=True) for key in markers]
    listed.sort(key=lambda each: (each.key.encode(), each.size is not None, -int(each.version_id) if each.size else 0))
    ledger = sorted((row(key, str(number)) for key, number in rows), key=lambda each: each.key.encode())
    met, lonely, rowless = set(), set(), set()
    deleted = set()
    for pair in pairs(shelves(cast("Any", Bucket(listed)), "bucket", ""), ledger):
        for version in pair.shelf.versions:
            (met if pair.row(version) else lonely).add((pair.key, int(version.version_id)))
        rowless |= {(each.key, int(each.version_id)) for each in pair.rowless()}
        deleted |= {pair.key} if pair.shelf.marker else set()
    assert (met, lonely, rowless) == ({*versions} & {*rows}, {*versions} - {*rows}, {*rows} - {*versions})
    assert deleted == markers


@pytest.mark.parametrize("stream", [["b", "a"], ["a", "a"], ["\U0001f4e6", "\uff5e"]])
def test_streams_out_of_order_are_refused(stream: list[str]) -> None:
    with pytest.raises(UserError, match="out of order"):
        list(joined([(key, 0) for key in stream], list[tuple[str, int]]()))


def test_an_unversioned_object_is_known_by_its_etag() -> None:
    listed = [Listed("incoming/o/a.csv.gz.age", "null", NOW)]
    (pair,) = pairs(shelves(cast("Any", Bucket(listed)), "bucket", "incoming/"), [row("incoming/o/a.csv.gz.age", "etag:null-etag")])
    assert pair.row(pair.shelf.versions[0]) is not None
    assert pair.rowless() == []


def many(count: int) -> tuple[Iterator[Listed], Iterator[Row]]:
    old = NOW - dt.timedelta(days=1)
    listed = (Listed(f"incoming/orders/{number:07}.csv.gz.age", f"version-{number}", old) for number in range(count))
    # Every tenth was never loaded, every eleventh is gone: its row has a key that the bucket lacks.
    ledger = (
        row(f"incoming/orders/{number:07}.csv.gz.age{'.gone' if number % 11 == 0 else ''}", f"version-{number}", event_time=old)
        for number in range(count)
        if number % 10
    )
    return listed, ledger


def test_a_hundred_thousand_versions_are_audited_in_bounded_memory() -> None:
    count, report = 100_000, Report(most=1000)
    judge = Judge(
        bucket="bucket",
        now=NOW,
        grace=dt.timedelta(minutes=10),
        since=NOW - dt.timedelta(days=9),
        kept_for=dt.timedelta(days=30),
        letters=queues.Letters(),
        queue_is_empty=True,
        after_load=lambda _: "keep",
    )
    listed, ledger = many(count)
    tracemalloc.start()
    try:
        for pair in pairs(shelves(cast("Any", Bucket(listed)), "bucket", "incoming/"), ledger):
            judge.look(pair, report)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    sys.stdout.write(f"{count} versions: peak {peak / 1024**2:.1f} MiB\n")
    gone = sum(1 for number in range(count) if number % 10 and number % 11 == 0)
    assert report.counts["versions"] == count
    assert report.kinds == Counter({Kind.NEVER_LOADED: count // 10 + gone, Kind.GONE: gone})
    assert len(report.findings) == 1000
    assert peak < MOST_MIB * 1024**2


def event(key: str, version_id: str) -> str:
    obj = {"key": key, "version-id": version_id, "etag": "e"}
    return json.dumps(
        {
            "source": "aws.s3",
            "detail-type": "Object Created",
            "time": "2026-11-24T00:00:00Z",
            "detail": {"bucket": {"name": "b"}, "object": obj},
        }
    )


def test_every_letter_is_read_and_shown_again() -> None:
    bodies = [event(f"incoming/o/{number}.csv.gz.age", f"v{number}") for number in range(25)]
    queue = DeadLetterQueue(bodies)
    found = queues.letters(cast("Any", queue), "url")
    assert (found.read, found.unread, found.is_complete) == (25, 0, True)
    assert all(found.hold(f"incoming/o/{number}.csv.gz.age", (f"v{number}",)) for number in range(25))
    assert not found.hold("incoming/o/1.csv.gz.age", ("v2",))
    assert not queue.hidden


def test_letters_in_other_hands_make_it_uncertain() -> None:
    assert not queues.letters(cast("Any", DeadLetterQueue([event("k", "v")], counted=3)), "url").is_complete


def test_letters_are_understood_as_the_poller_understands_them() -> None:
    native = {"eventName": "ObjectCreated:Put", "eventTime": "2026-11-24T00:00:00Z"}
    native["s3"] = {"bucket": {"name": "b"}, "object": {"key": "incoming/o/%E9%A3%9B+1.csv.gz.age", "eTag": "e", "versionId": "v"}}  # type: ignore[assignment]
    for body in (event("incoming/o/飛 1.csv.gz.age", "v"), json.dumps({"Records": [native]})):
        created = events.parse(body, "b")
        assert isinstance(created, list)
        assert announced(body) == [(each.key, each.version_id) for each in created]
    letters = queues.Letters()
    letters.add(event("incoming/o/%E9%A3%9B.csv.gz.age", "v"))
    assert letters.hold("incoming/o/飛.csv.gz.age", ("v",))


@pytest.mark.parametrize(
    "body", ["", "no json", "[]", "{}", '{"detail": 1}', '{"Records": [1]}', '{"detail": {"object": {}}}', "[" * 100_000]
)
def test_what_is_no_event_announces_nothing(body: str) -> None:
    assert announced(body) == []


def test_the_command_and_the_services_mean_the_same_keys() -> None:
    from hikyaku.operator.inventory import bucket  # noqa: PLC0415 - beside what it is compared with

    assert (bucket.INCOMING, bucket.SUFFIXES) == (keys.INCOMING, keys.SUFFIXES)
