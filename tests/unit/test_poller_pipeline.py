import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from kombu.transport.memory import Channel

from fakes.line import file_ref, held, message, problem
from poller.held import Held
from poller.pipeline import BROKER_ERRORS, LONGEST_LABEL, Pipeline, parcels, task_id
from shared import celery_app
from shared.contract import Chore, Parcel, QueueName, TaskName, TidyParcel
from shared.protocol import BYTES_PER_SECOND
from shared.settings import CommonSettings

MAX_FILES = 4
MAX_BYTES = 100
DEADLINE_S = 600

# Grouping


def ids(groups: list[list[Held]]) -> list[list[str]]:
    return [[each.message.message_id for each in group] for group in groups]


def group(*items: Held) -> list[list[str]]:
    return ids(list(parcels(items, MAX_FILES, MAX_BYTES)))


def test_nothing_makes_no_parcel() -> None:
    assert group() == []


def test_small_files_share_a_parcel() -> None:
    assert group(held("a", 10), held("b", 20), held("c", 70)) == [["a", "b", "c"]]


def test_bytes_and_files_bound_a_parcel() -> None:
    assert group(held("a", 60), held("b", 41)) == [["a"], ["b"]]
    assert group(*(held(name, 1) for name in "abcdef")) == [["a", "b", "c", "d"], ["e", "f"]]
    assert group(held("a", 1, 1, 1), held("b", 1, 1)) == [["a"], ["b"]]


def test_a_large_file_travels_alone() -> None:
    assert ["large"] in group(held("a", 1), held("large", MAX_BYTES + 1), held("b", 1))


def test_what_was_tried_before_travels_alone() -> None:
    groups = group(held("a", 1), held("again", 1, retries=1), held("redelivered", 1, receive_count=2), held("b", 1))
    assert ["again"] in groups
    assert ["redelivered"] in groups
    assert ["a", "b"] in groups


def test_files_of_one_message_stay_together_however_many() -> None:
    assert group(held("many", *[1] * (MAX_FILES + 3)), held("b", 1)) == [["many"], ["b"]]


helds = st.lists(
    st.builds(
        lambda sizes, count, retries: (sizes, count, retries),
        st.lists(st.integers(0, 130), min_size=1, max_size=6),
        st.sampled_from([1, 1, 1, 2]),
        st.sampled_from([0, 0, 0, 3]),
    ),
    max_size=25,
).map(lambda rows: [held(str(n), *sizes, receive_count=count, retries=tries) for n, (sizes, count, tries) in enumerate(rows)])


@given(helds)
def test_grouping_loses_nothing_keeps_order_and_bounds(items: list[Held]) -> None:
    groups = list(parcels(items, MAX_FILES, MAX_BYTES))
    flat = [int(message_id) for part in ids(groups) for message_id in part]
    assert sorted(flat) == list(range(len(items)))
    assert all(groups)
    for part in groups:
        numbers = [int(each.message.message_id) for each in part]
        assert numbers == sorted(numbers)
        if len(part) > 1:
            assert sum(len(each.files) for each in part) <= MAX_FILES
            assert sum(each.size for each in part) <= MAX_BYTES
            assert all(each.message.receive_count == 1 and each.retries == 0 for each in part)


# Submitting, against kombu's broker in memory


@pytest.fixture
def app() -> Iterator[Celery]:
    settings = CommonSettings.model_validate({"redis_url": "redis://unused.invalid", "instance": "p1"})
    app = celery_app.build(QueueName.SETTLE, settings, queue="settle.p1")
    app.conf.update(broker_url="memory://", broker_transport_options={})
    yield app
    app.close()
    Channel.queues.clear()


@pytest.fixture
def published(app: Celery) -> Callable[[str], dict[str, Any] | None]:
    """Takes the next message of a queue, decoded: headers, args, embed (the rest of the chain, errbacks)."""

    def take(queue: str) -> dict[str, Any] | None:
        with app.connection_for_read() as connection, connection.channel() as channel:
            found = cast("Channel", channel).basic_get(queue, no_ack=True)
        if found is None:
            return None
        args, kwargs, embed = json.loads(cast("str", found.body))
        return {"headers": found.headers, "args": args, "kwargs": kwargs, "embed": embed, "raw": json.dumps([found.headers, args, embed])}

    return take


def test_a_parcel_enters_the_line_as_a_chain(app: Celery, published: Callable[[str], dict[str, Any] | None]) -> None:
    parcel_id = Pipeline(app, "p1", DEADLINE_S).submit([held("a", 10), held("b", 20, 30)])
    sent = published("decrypt")
    assert sent is not None
    assert sent["headers"]["task"] == TaskName.DECRYPT
    [argument] = sent["args"]
    parcel = Parcel.read(argument)
    assert parcel.parcel_id == parcel_id
    assert [(file.message_id, file.size) for file in parcel.files] == [("a", 10), ("b", 20), ("b", 30)]
    assert published("decrypt") is None
    # Celery keeps a chain reversed.
    chain = [(link["task"], link["options"]["queue"]) for link in sent["embed"]["chain"]]
    assert chain == [(TaskName.SETTLE, "settle.p1"), (TaskName.LOAD, "load")]
    assert all(link["args"] == [] and not link["immutable"] for link in sent["embed"]["chain"])


def test_a_chain_that_nobody_begins_in_time_is_passed_over(app: Celery, published: Callable[[str], dict[str, Any] | None]) -> None:
    """Its poller has given it up by then. Once begun it goes on: what it has done counts."""
    before = dt.datetime.now(dt.UTC)
    Pipeline(app, "p1", DEADLINE_S).submit([held("a", 10), held("large", 200 * BYTES_PER_SECOND)])
    sent = published("decrypt")
    assert sent is not None
    waited = dt.datetime.fromisoformat(sent["headers"]["expires"]) - before
    assert DEADLINE_S + 200 <= waited.total_seconds() < DEADLINE_S + 260
    assert [link["options"].get("expires") for link in sent["embed"]["chain"]] == [None, None]


def test_what_is_to_be_rejected_goes_the_same_way_with_its_problem(app: Celery, published: Callable[[str], dict[str, Any] | None]) -> None:
    """Redis lets the poller write no other worker's queue than the decryptor's."""
    each = held("a", 10, 20)
    each.problem = problem()
    parcel_id = Pipeline(app, "p1", DEADLINE_S).submit([each])
    assert published("load") is None
    sent = published("decrypt")
    assert sent is not None
    [argument] = sent["args"]
    assert Parcel.read(argument) == Parcel(parcel_id=parcel_id, files=each.files, problem=problem())


def with_chores(message_id: str, *sizes: int) -> Held:
    """A message whose files are loaded, and their objects to be deleted."""
    each = held(message_id, *sizes)
    each.chores = tuple(Chore(file=file, after_load="delete") for file in each.files)
    return each


def test_objects_are_tidied_in_a_chain_of_their_own(app: Celery, published: Callable[[str], dict[str, Any] | None]) -> None:
    parcel_id = Pipeline(app, "p1", DEADLINE_S).submit([with_chores("a"), with_chores("b", 20, 30)])
    assert published("decrypt") is None, "an older decryptor would throw it away unheard"
    sent = published("decrypt.tidy")
    assert sent is not None
    assert (sent["headers"]["task"], sent["headers"]["id"]) == (TaskName.TIDY, task_id(parcel_id, TaskName.TIDY))
    assert sent["headers"]["expires"], "the poller gives it up; an older decryptor's successor need not work off what is long done"
    parcel = TidyParcel.read(sent["args"][0])
    assert [(chore.file.message_id, chore.after_load) for chore in parcel.chores] == [("a", "delete"), ("b", "delete"), ("b", "delete")]
    [settle] = sent["embed"]["chain"]
    assert (settle["task"], settle["options"]["queue"]) == (TaskName.SETTLE, "settle.p1")
    errbacks = [*sent["embed"]["errbacks"], *settle["options"]["link_error"]]
    assert [(errback["task"], errback["args"]) for errback in errbacks] == [(TaskName.SETTLE_FAILED, [parcel_id])] * 2


def test_what_is_loaded_and_what_is_to_be_loaded_share_no_chain() -> None:
    items = [held("a"), with_chores("b"), held("c"), with_chores("d")]
    assert [[each.message.message_id for each in group] for group in parcels(items, 10, 100)] == [["a", "c"], ["b", "d"]]


def test_what_is_to_be_rejected_travels_alone() -> None:
    sick = held("sick")
    sick.problem = problem()
    assert group(held("a"), sick, held("b")) == [["sick"], ["a", "b"]]


def test_every_link_is_called_so_that_the_workers_can_be_asked_for_it(
    app: Celery, published: Callable[[str], dict[str, Any] | None]
) -> None:
    parcel_id = Pipeline(app, "p1", DEADLINE_S).submit([held("a")])
    sent = published("decrypt")
    assert sent is not None
    ids = [sent["headers"]["id"], *(link["options"]["task_id"] for link in reversed(sent["embed"]["chain"]))]
    assert ids == [task_id(parcel_id, task) for task in (TaskName.DECRYPT, TaskName.LOAD, TaskName.SETTLE)]
    assert len(set(ids)) == 3


def test_every_link_has_an_errback_that_names_the_parcel(app: Celery, published: Callable[[str], dict[str, Any] | None]) -> None:
    parcel_id = Pipeline(app, "p1", DEADLINE_S).submit([held("b", 10), held("a", 20, 30)])
    sent = published("decrypt")
    assert sent is not None
    errbacks = [sent["embed"]["errbacks"], *(link["options"]["link_error"] for link in sent["embed"]["chain"])]
    assert len(errbacks) == 3
    for [errback] in errbacks:
        assert (errback["task"], errback["options"]["queue"]) == (TaskName.SETTLE_FAILED, "settle.p1")
        assert errback["immutable"]
        assert errback["args"] == [parcel_id]


def test_each_message_knows_its_newest_parcel(app: Celery) -> None:
    group = [held("a"), held("b", 1, 2)]
    first, second = (Pipeline(app, "p1", DEADLINE_S).submit(group) for _ in range(2))
    assert first != second
    assert [each.parcel_id for each in group] == [second, second]


def test_a_person_reads_the_key_and_never_the_payload(app: Celery, published: Callable[[str], dict[str, Any] | None]) -> None:
    Pipeline(app, "p1", DEADLINE_S).submit([held("a", 10), held("b", 20)])
    sent = published("decrypt")
    assert sent is not None
    label = "incoming/orders/a.csv.gz.age (+1 more)"
    assert (sent["headers"]["argsrepr"], sent["headers"]["kwargsrepr"]) == (label, "")
    assert [link["options"]["argsrepr"] for link in sent["embed"]["chain"]] == [label, label]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        pytest.param("注文.csv.gz.age", "incoming/orders/注文.csv.gz.age", id="Japanese, as it was written"),
        pytest.param("受" * 300 + ".csv.gz.age", "incoming/orders/" + "受" * (LONGEST_LABEL - 16), id="long"),
        pytest.param("a\n\x1b[2J\u202e.csv.gz.age", "incoming/orders/a\\n\\x1b[2J\\u202e.csv.gz.age", id="garbling"),
        pytest.param("it's.csv.gz.age", "incoming/orders/it's.csv.gz.age", id="quote"),
    ],
)
def test_a_label_is_the_key_as_a_person_reads_it(
    app: Celery, published: Callable[[str], dict[str, Any] | None], name: str, label: str
) -> None:
    Pipeline(app, "p1", DEADLINE_S).submit([Held(message("a"), (file_ref("a", key=f"incoming/orders/{name}"),), received=0.0)])
    sent = published("decrypt")
    assert sent is not None
    assert sent["headers"]["argsrepr"] == label


def test_no_receipt_handle_leaves_the_poller(app: Celery, published: Callable[[str], dict[str, Any] | None]) -> None:
    secret = "AQEB-receipt-handle"  # noqa: S105 - a stand-in
    Pipeline(app, "p1", DEADLINE_S).submit([Held(message("a", handle=secret), (file_ref("a"),), received=0.0)])
    sent = published("decrypt")
    assert sent is not None
    assert "message_id" in sent["raw"]
    assert secret not in sent["raw"]


def test_only_unsettled_files_are_submitted(app: Celery, published: Callable[[str], dict[str, Any] | None]) -> None:
    each = held("a", 1, 2, 3)
    each.settled[each.files[1].file_id] = None  # type: ignore[assignment]  # only the key counts
    Pipeline(app, "p1", DEADLINE_S).submit([each])
    sent = published("decrypt")
    assert sent is not None
    assert [file["size"] for file in sent["args"][0]["files"]] == [1, 3]


def test_a_broker_that_refuses_the_connection_raises_a_broker_error() -> None:
    settings = CommonSettings.model_validate({"redis_url": "redis://127.0.0.1:1/0", "instance": "p1"})
    app = celery_app.build(QueueName.SETTLE, settings, queue="settle.p1")
    app.conf.task_publish_retry = False
    each = held("a")
    each.parcel_id = "older"
    with pytest.raises(BROKER_ERRORS):
        Pipeline(app, "p1", DEADLINE_S).submit([each])
    assert each.parcel_id not in {"", "older"}, "it may have been queued all the same, and then its errback counts"


def test_a_group_settled_meanwhile_sends_nothing(app: Celery, published: Callable[[str], dict[str, Any] | None]) -> None:
    """A chain thought lost may settle its files between `take_due` and `submit`: that must not end the thread."""
    each = held("a", 1)
    each.settled[each.files[0].file_id] = None  # type: ignore[assignment]  # only the key counts
    assert Pipeline(app, "p1", DEADLINE_S).submit([each]) == ""
    assert published("decrypt") is None
