"""What a Prometheus would read of a courier: real scrapes over loopback, before, during and after an outage."""

import re
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fakes.clock import Clock
from fakes.line import FakeBroker, FakePipeline, body, eventbridge, native, native_record, settlement
from fakes.poller import QUEUE, courier, queues, settings
from poller import metrics
from shared import protocol
from shared.contract import FileRef, SettledParcel, Verdict
from shared.errors import ErrorCode
from shared.protocol import Dependency

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
PATIENCE_S = 15


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Station:
    """A courier on a fake line, and somebody who scrapes it."""

    def __init__(self) -> None:
        self.settings = settings(metrics_port=free_port())
        self.clock, self.pipeline = Clock(), FakePipeline()
        self.sqs = queues(self.clock)
        self.courier = courier(self.settings, self.sqs, self.pipeline, FakeBroker(), self.clock, chance=lambda: 1.0)

    def receive(self, *names: str, size: int = 10) -> list[FileRef]:
        """Send so many files and receive them; gives what was submitted of them."""
        before = len(self.pipeline.files)
        for name in names:
            event = body(eventbridge(f"incoming/orders/{name}.csv.gz.age", version=name, size=size))
            self.sqs.send_message(QueueUrl=QUEUE, MessageBody=event)
        self.courier.receive()
        return self.pipeline.files[before:]

    def settle(self, file: FileRef, verdict: Verdict = Verdict.DONE, **said: Any) -> None:
        self.courier.settle(SettledParcel(parcel_id="", settlements=(settlement(file, verdict).model_copy(update=said),)))

    def scrape(self) -> dict[str, float]:
        url = f"http://127.0.0.1:{self.settings.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            text = answer.read().decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {_series(sample.name, sample.labels): sample.value for sample in samples}


def _series(name: str, labels: dict[str, str]) -> str:
    return name + "".join(f" {label}={value}" for label, value in sorted(labels.items()) if value)


@pytest.fixture
def station() -> Iterator[Station]:
    made = Station()
    with metrics.serving(made.courier.metrics, made.settings):
        yield made


def test_an_outage_is_seen_while_it_lasts_and_afterwards(station: Station) -> None:
    files = station.receive("a", "b", "c", size=1000)
    station.clock.advance(5)
    for file in files[:2]:
        station.settle(file, Verdict.RETRY)
    station.clock.advance(60)
    during = station.scrape()
    assert during["hikyaku_dependency_away dependency=postgresql"] == 1
    assert during["hikyaku_dependency_outages_total dependency=postgresql"] == 1
    assert during["hikyaku_dependency_away_seconds_total dependency=postgresql"] == 60
    assert during["hikyaku_dependency_away dependency=redis"] == 0
    assert during["hikyaku_file_failures_total error_code=database_unavailable"] == 2
    assert during["hikyaku_held_messages"] == 3
    assert during["hikyaku_oldest_held_seconds"] == 65
    assert during["hikyaku_under_way_bytes"] == 1000
    for file in files:
        station.settle(file)
    station.clock.advance(30)
    after = station.scrape()
    assert after["hikyaku_dependency_away dependency=postgresql"] == 0
    assert after["hikyaku_dependency_outages_total dependency=postgresql"] == 1
    assert after["hikyaku_dependency_away_seconds_total dependency=postgresql"] == 60
    assert after["hikyaku_messages_received_total"] == 3
    assert after["hikyaku_files_settled_total status=loaded"] == 3
    assert after["hikyaku_messages_let_go_total told=delete"] == 3
    gauges = [after[name] for name in ("hikyaku_held_messages", "hikyaku_oldest_held_seconds", "hikyaku_under_way_bytes")]
    assert gauges == [0, 0, 0]


def test_a_second_outage_is_added_to_the_first(station: Station) -> None:
    for lasted in (10, 7):
        station.courier.outages.failed(Dependency.BROKER, "")
        station.clock.advance(lasted)
        station.courier.outages.worked(Dependency.BROKER)
        station.clock.advance(100)
    seen = station.scrape()
    assert seen["hikyaku_dependency_outages_total dependency=redis"] == 2
    assert seen["hikyaku_dependency_away_seconds_total dependency=redis"] == 17


def test_a_fate_told_twice_is_counted_once(station: Station) -> None:
    """A message of two files is held on after the first one's fate."""
    both = native(native_record("incoming/orders/a.csv.gz.age"), native_record("incoming/orders/b.csv.gz.age"))
    station.sqs.send_message(QueueUrl=QUEUE, MessageBody=body(both))
    station.courier.receive()
    first, second = station.pipeline.files
    for file in (first, first, second, second):
        station.settle(file)
    seen = station.scrape()
    assert seen["hikyaku_files_settled_total status=loaded"] == 2
    assert seen["hikyaku_event_to_settled_seconds_count"] == 2
    assert seen["hikyaku_messages_let_go_total told=delete"] == 1


def test_the_way_from_the_event_is_measured_over_the_wait_for_its_fate(station: Station) -> None:
    [file] = station.receive("a")
    waited = metrics._seconds_before_receive(file)
    station.clock.advance(100)
    station.settle(file)
    seen = station.scrape()
    assert seen["hikyaku_event_to_settled_seconds_count"] == 1
    assert seen["hikyaku_event_to_settled_seconds_sum"] == pytest.approx(waited + 100)


def test_a_clock_that_is_behind_s3s_gives_no_negative_time(station: Station) -> None:
    late = "2027-10-01T00:00:00Z"
    event = {**eventbridge(), "time": late}
    station.sqs.send_message(QueueUrl=QUEUE, MessageBody=body(event))
    station.courier.receive()
    station.settle(station.pipeline.files[0])
    assert station.scrape()["hikyaku_event_to_settled_seconds_sum"] >= 0


def test_every_way_out_is_counted(station: Station) -> None:
    rejected, crashed, refused, kept = station.receive("a", "b", "c", "d")
    station.settle(rejected, Verdict.REJECTED)
    station.settle(crashed, Verdict.RETRY, error_code=ErrorCode.CRASHED)
    station.sqs.send_message(QueueUrl=QUEUE, MessageBody="no event")
    station.courier.receive()
    del station.sqs.queues[QUEUE].messages[refused.message_id]
    station.courier.keep()
    assert station.courier.in_flight.receipts().keys() == {kept.message_id}
    station.courier.hand_back()
    seen = station.scrape()
    told = {name.rpartition("=")[2]: count for name, count in seen.items() if name.startswith("hikyaku_messages_let_go_total")}
    assert told == {"delete": 0, "dead_letter": 2, "back": 1, "back_now": 1, "nothing": 1}
    assert seen["hikyaku_files_settled_total error_code=gzip_invalid status=rejected"] == 1
    assert station.courier.metrics._noted == {}, "nothing is remembered of what is let go"


def test_every_way_out_has_a_name() -> None:
    ways_out = {decision.telling for decision in protocol.DECISIONS.values() if decision.state in protocol._LET_GO}
    assert metrics.TOLD.keys() == ways_out


def test_a_second_copy_of_a_held_message_changes_nothing(station: Station) -> None:
    station.receive("a", size=1000)
    station.clock.advance(station.settings.visibility_timeout + 1)
    station.courier.receive()
    seen = station.scrape()
    assert (seen["hikyaku_messages_received_total"], seen["hikyaku_held_messages"]) == (2, 1)
    assert seen["hikyaku_oldest_held_seconds"] == station.settings.visibility_timeout + 1


def test_senders_and_newer_loaders_make_no_series(station: Station) -> None:
    """Whatever they say, the number of series stays what it is."""
    files = [file for n in range(40) for file in station.receive(*(f"{n}-{m}" for m in range(2)))]
    words = iter(range(10_000))
    before = set(station.scrape())
    for file in files:
        station.settle(file, Verdict.RETRY, error_code=f"new_{next(words)}")
        station.settle(file, Verdict.REJECTED, status=f"new_{next(words)}", error_code=f"new_{next(words)}")
    seen = station.scrape()
    new = {"hikyaku_file_failures_total error_code=other", "hikyaku_files_settled_total error_code=other status=other"}
    assert set(seen) - before == new
    assert {seen[name] for name in new} == {len(files)}


def test_a_scrape_waits_for_nobody_and_holds_nobody_up(station: Station) -> None:
    """Many at once, while files pass: each answer is whole, and the courier ends its work."""
    done = threading.Event()
    answers: list[dict[str, float]] = []

    def scrape() -> None:
        while not done.is_set():
            answers.append(station.scrape())

    scrapers = [threading.Thread(target=scrape) for _ in range(4)]
    for scraper in scrapers:
        scraper.start()
    for n in range(100):
        for file in station.receive(f"f{n}"):
            station.settle(file)
    done.set()
    for scraper in scrapers:
        scraper.join(PATIENCE_S)
    assert station.scrape()["hikyaku_files_settled_total status=loaded"] == 100
    assert len(answers) >= 4
    assert {frozenset(answer) for answer in answers} == {frozenset(answers[0])}


def test_without_a_port_nothing_listens() -> None:
    before = threading.active_count()
    with metrics.serving(Station().courier.metrics, settings()):
        assert threading.active_count() == before


def test_nothing_listens_any_more_at_the_end() -> None:
    station, before = Station(), threading.active_count()
    with metrics.serving(station.courier.metrics, station.settings):
        assert threading.active_count() > before
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", station.settings.metrics_port or 0)) != 0


@pytest.mark.parametrize("address", ["127.0.0.1", "no-such-host.invalid"])
def test_an_address_that_can_not_be_had_ends_the_process(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        given = settings(metrics_port=taken.getsockname()[1], metrics_address=address)
        with pytest.raises(SystemExit) as ended, metrics.serving(Station().courier.metrics, given):
            pytest.fail("it was served")
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert re.search(rf"HIKYAKU_METRICS_PORT: metrics can't be served on {address}, port \d+: \w+", said)


def test_the_docs_list_every_metric_and_no_other(station: Station) -> None:
    [file] = station.receive("a")
    station.settle(file, Verdict.RETRY)
    ours = {re.sub(r"_(bucket|sum|count)$", "", name.partition(" ")[0]) for name in station.scrape() if name.startswith("hikyaku_")}
    text, _, _ = DOCS.read_text(encoding="utf-8").partition("### Metrics of ledger and queues")
    assert set(re.findall(r"^\| `(hikyaku_\w+)", text, re.MULTILINE)) == ours
    rules = re.findall(r"^ +expr: .*", text, re.MULTILINE)
    assert len(rules) >= 3
    assert {name for rule in rules for name in re.findall(r"hikyaku_\w+", rule)} <= ours
