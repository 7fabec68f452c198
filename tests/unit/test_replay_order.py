"""A replayed event never puts an older version over a newer one, whatever was lost, is late, or was rejected."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from hikyaku.errors import UserError
from hikyaku.operator.inventory.bucket import Shelf, Version
from hikyaku.operator.inventory.matching import Pair, Row
from hikyaku.operator.replay.event import body
from hikyaku.operator.replay.order import LOWEST, Step, Verdict, steps
from hikyaku.operator.replay.selection import Selection
from hikyaku.operator.replay.sending import send
from poller import events

KEY = "incoming/orders/a.csv.gz.age"
START = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


@dataclass(frozen=True)
class Event:
    """What the loader hears. The version is its place in S3's order."""

    version: int
    time: dt.datetime
    sequencer: str


@dataclass
class Table:
    """The loader's decisions about one key (claim.sql, superseded.sql), and what they make of the table."""

    rows: dict[int, Row] = field(default_factory=dict)
    loaded: list[int] = field(default_factory=list)

    def take(self, event: Event, *, reject: bool = False) -> None:
        known = self.rows.get(event.version)
        if known is not None and known.status not in {"rejected", "failed"}:
            return
        status = "rejected" if reject else "superseded" if any(self._outdoes(row, event) for row in self.rows.values()) else "loaded"
        # The row keeps what came first.
        time, sequencer = (known.event_time, known.sequencer) if known else (event.time, event.sequencer)
        self.rows[event.version] = Row(KEY, str(event.version), status, None, "orders", time, sequencer, START)
        if status == "loaded":
            assert not self.loaded or max(self.loaded) < event.version, "an older version was put over a newer one"
            self.loaded.append(event.version)

    def _outdoes(self, row: Row, event: Event) -> bool:
        if row.status != "loaded" or row.version_id == str(event.version):
            return False
        if not row.sequencer or not event.sequencer or row.sequencer.rstrip("0") == event.sequencer.rstrip("0"):
            return row.event_time > event.time
        width = max(len(row.sequencer), len(event.sequencer))
        return row.sequencer.ljust(width, "0") > event.sequencer.ljust(width, "0")


@dataclass(frozen=True)
class Put:
    """A version as S3 has it: its event's time is when the upload ended, LastModified may be when it began."""

    gap: int
    lag: int
    fate: str


PUTS = st.lists(
    st.builds(
        Put,
        gap=st.sampled_from([0, 0, 1, 5]),
        lag=st.sampled_from([0, 0, 0, 1, 7]),
        fate=st.sampled_from(["arrived", "lost", "lost", "late", "rejected"]),
    ),
    min_size=1,
    max_size=5,
)


def happened(puts: list[Put]) -> tuple[list[Version], list[Event]]:
    """The versions oldest first, and their own events."""
    time, versions, own = START, [], []
    for place, put in enumerate(puts):
        time += put.gap * SECOND
        versions.append(Version(KEY, str(place), "e", 1, time - put.lag * SECOND))
        own.append(Event(place, time, f"{0xA0 + place:X}"))
    return versions, own


def plan(versions: list[Version], table: Table, *, quiet: bool) -> list[Step]:
    return list(steps(Pair(KEY, Shelf(KEY, tuple(reversed(versions))), tuple(table.rows.values())), quiet=quiet))


def sent(found: list[Step]) -> list[Event]:
    return [Event(int(step.version.version_id), step.event_time, step.sequencer) for step in found if step.verdict is Verdict.SEND]


@settings(max_examples=600)
@given(puts=PUTS, data=st.data())
def test_no_older_version_is_ever_put_over_a_newer_one(puts: list[Put], data: st.DataObject) -> None:
    versions, own = happened(puts)
    table = Table()
    for event in data.draw(st.permutations([event for event, put in zip(own, puts, strict=True) if put.fate in {"arrived", "rejected"}])):
        table.take(event, reject=puts[event.version].fate == "rejected")
    late = [event for event, put in zip(own, puts, strict=True) if put.fate == "late"]
    for _ in range(2 * len(puts) + 1):
        found = plan(versions, table, quiet=not late)
        note(str([(step.version.version_id, str(step.verdict), step.reason) for step in found]))
        come = data.draw(st.lists(st.sampled_from(late), unique=True)) if late else []
        late = [event for event in late if event not in come]
        for event in data.draw(st.permutations([*sent(found), *come])):
            table.take(event)
    for event in late:
        table.take(event)
    for _ in puts:
        for event in sent(plan(versions, table, quiet=True)):
            table.take(event)
    found = plan(versions, table, quiet=True)
    assert {step.verdict for step in found} <= {Verdict.SETTLED, Verdict.UNCLEAR}
    if found[0].verdict is Verdict.SETTLED:
        assert max(table.loaded) == len(puts) - 1, "the newest version is what counts"


@given(puts=PUTS, data=st.data())
def test_where_only_events_were_lost_all_of_them_are_healed(puts: list[Put], data: st.DataObject) -> None:
    kept = [Put(put.gap, 0, put.fate if put.fate == "arrived" else "lost") for put in puts]
    versions, own = happened(kept)
    table = Table()
    for event in data.draw(st.permutations([event for event, put in zip(own, kept, strict=True) if put.fate == "arrived"])):
        table.take(event)
    for _ in kept:
        for event in data.draw(st.permutations(sent(plan(versions, table, quiet=True)))):
            table.take(event)
    assert {step.verdict for step in plan(versions, table, quiet=True)} == {Verdict.SETTLED}
    assert max(table.loaded) == len(puts) - 1


def test_an_event_of_a_single_lost_version_has_the_time_of_the_object() -> None:
    (step,) = plan([Version(KEY, "0", "e", 1, START)], Table(), quiet=False)
    assert (step.verdict, step.event_time, step.sequencer) == (Verdict.SEND, START, "")


def test_a_version_below_a_loaded_one_gets_the_lowest_sequencer() -> None:
    versions, own = happened([Put(0, 0, "lost"), Put(0, 0, "arrived")])
    table = Table()
    table.take(own[1])
    newest, oldest = plan(versions, table, quiet=True)
    assert (newest.verdict, oldest.verdict, oldest.sequencer) == (Verdict.SETTLED, Verdict.SEND, LOWEST)
    table.take(sent([oldest])[0])
    assert table.rows[0].status == "superseded"


def test_a_version_of_the_same_time_as_a_loaded_one_without_a_sequencer_is_unclear() -> None:
    versions, _ = happened([Put(0, 0, "lost"), Put(0, 0, "arrived")])
    table = Table()
    table.take(Event(1, START, ""))
    assert [step.verdict for step in plan(versions, table, quiet=True)] == [Verdict.SETTLED, Verdict.UNCLEAR]


def test_within_a_second_the_newest_goes_first_whatever_lastmodified_says() -> None:
    """LocalStack's LastModified has milliseconds, and the times of its events have none: the newer one's own may come as the older one."""
    versions = [Version(KEY, "0", "e", 1, START + 0.3 * SECOND), Version(KEY, "1", "e", 1, START + 0.9 * SECOND)]
    assert [step.verdict for step in plan(versions, Table(), quiet=True)] == [Verdict.SEND, Verdict.WAITS]


def test_a_rejected_version_is_announced_as_it_was() -> None:
    versions, own = happened([Put(0, 3, "rejected")])
    table = Table()
    table.take(own[0], reject=True)
    (step,) = plan(versions, table, quiet=True)
    assert (step.event_time, step.sequencer, step.status) == (own[0].time, own[0].sequencer, "rejected")


@pytest.mark.parametrize(("version_id", "name"), [("v 1", "v 1"), ("null", "etag:abc")])
@pytest.mark.parametrize("key", ["incoming/orders/飛脚 1+%41.csv.gz.age", KEY])
def test_the_poller_understands_the_event(key: str, version_id: str, name: str) -> None:
    version = Version(key, version_id, "abc", 7, START)
    (created,) = cast("list[events.Created]", events.parse(body("bucket", Step(version, Verdict.SEND, None, START, "A1")), "bucket"))
    assert (created.key, created.version_id, created.etag, created.size, created.sequencer) == (key, name, "abc", 7, "A1")
    assert dt.datetime.fromisoformat(created.event_time) == START


def test_the_time_within_a_second_survives_the_event() -> None:
    time = START + dt.timedelta(microseconds=1)
    text = json.loads(body("bucket", Step(Version(KEY, "v", "e", 1, START), Verdict.SEND, None, time)))["time"]
    assert dt.datetime.fromisoformat(text) == time


def pairs_of(*names: str) -> Iterator[Pair]:
    for number, name in enumerate(names):
        version = Version(f"incoming/orders/{name}", f"v{number}", "e", 1, START + number * SECOND)
        yield Pair(version.key, Shelf(version.key, (version,)), ())


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(prefix="incoming/"), ["a.csv.gz.age", "b.csv.gz.gpg"]),
        (Selection(key="incoming/orders/a.csv.gz.age"), ["a.csv.gz.age"]),
        (Selection(version="v1"), ["b.csv.gz.gpg"]),
        (Selection(since=START + SECOND), ["b.csv.gz.gpg"]),
        (Selection(until=START + SECOND), ["a.csv.gz.age"]),
        (Selection(missing=True, before=START + SECOND), ["a.csv.gz.age"]),
    ],
)
def test_a_selection_narrows_it_down(selection: Selection, expected: list[str]) -> None:
    found = selection.of(pairs_of("a.csv.gz.age", "b.csv.gz.gpg", "c.csv"), quiet=True)
    assert [step.version.key.removeprefix("incoming/orders/") for step in found] == expected


def test_missing_leaves_out_what_was_rejected() -> None:
    row = Row(KEY, "v", "rejected", "hash_mismatch", "orders", START, "A1", START)
    pair = Pair(KEY, Shelf(KEY, (Version(KEY, "v", "e", 1, START),)), (row,))
    assert list(Selection(missing=True).of([pair], quiet=True)) == []
    assert [step.status for step in Selection(key=KEY).of([pair], quiet=True)] == ["rejected"]


class Queue:
    """Takes messages, but for those that it refuses so many times."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals, self.bodies, self.calls = refusals, list[str](), 0

    def send_message_batch(self, **asked: Any) -> dict[str, Any]:
        entries: list[dict[str, Any]] = asked["Entries"]
        self.calls += 1
        refused = entries[:1] if self.refusals else []
        self.refusals = max(self.refusals - 1, 0)
        self.bodies += [entry["MessageBody"] for entry in entries[len(refused) :]]
        return {"Failed": [{"Id": entry["Id"], "Code": "Throttled"} for entry in refused]}


def many(count: int) -> list[Step]:
    return [Step(Version(f"incoming/o/{number}.csv.gz.age", "v", "e", 1, START), Verdict.SEND, None, START) for number in range(count)]


def test_ten_messages_a_call_and_what_is_refused_again() -> None:
    queue, pauses = Queue(refusals=2), list[float]()
    assert len(list(send(cast("Any", queue), "url", "bucket", many(25), pause=pauses.append))) == 25
    assert sorted(json.loads(text)["detail"]["object"]["key"] for text in queue.bodies) == sorted(step.version.key for step in many(25))
    assert (queue.calls, pauses) == (5, [1.0, 2.0])


def test_what_is_refused_for_ever_is_said() -> None:
    pauses = list[float]()
    with pytest.raises(UserError, match="SQS refuses 1 messages: Throttled"):
        list(send(cast("Any", Queue(refusals=99)), "url", "bucket", many(3), pause=pauses.append))
    assert len(pauses) == 3
