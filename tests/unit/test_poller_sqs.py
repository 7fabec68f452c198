"""The suite of SQS's behaviour on the fake, and what only a fake can show."""

import hashlib
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from fakes.clock import Clock
from fakes.sqs import LARGEST_MESSAGE, FakeSQS
from poller.settings import PollerSettings
from poller.sqs import LONGEST_ATTRIBUTE, IngestQueue, _attribute, connect
from shared.printable import printable
from suites.sqs import *  # noqa: F403 - the suite's tests
from suites.sqs import MAX_RECEIVE_COUNT, Line

VISIBILITY_S = 10
SETTINGS = PollerSettings(
    redis_url="redis://unused.invalid",
    queue_url="https://sqs.invalid/ingest",
    dlq_url="https://sqs.invalid/dlq",
    bucket="b",
    aws_region="eu-central-1",
    sqs_connect_timeout=3,
    sqs_read_timeout=7,
)


def fake_line() -> Line:
    clock = Clock()
    client = FakeSQS(clock)
    dlq = client.add_queue("https://sqs.invalid/dlq")
    queue = client.add_queue("https://sqs.invalid/ingest", dlq_url=dlq, max_receive_count=MAX_RECEIVE_COUNT)
    return Line(client, queue, dlq, clock.advance, VISIBILITY_S)


@pytest.fixture(params=[pytest.param(fake_line, id="fake")])
def line(request: pytest.FixtureRequest) -> Line:
    made: Line = request.param()
    return made


def test_the_client_takes_its_region_from_the_settings_and_outlasts_the_long_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 itself reads AWS_DEFAULT_REGION only."""
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    client = connect(SETTINGS, wait=20)
    assert client.meta.region_name == "eu-central-1"
    assert client.meta.config.read_timeout > 20  # type: ignore[attr-defined]  # botocore's Config sets its attributes by name


def test_a_client_that_does_not_poll_waits_no_longer_than_it_is_told() -> None:
    """A call that hangs is a heartbeat that does not leave."""
    config: Any = connect(SETTINGS).meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (3, 7, 2)
    assert config.tcp_keepalive


def test_long_polls_have_a_client_of_their_own() -> None:
    others, receiver = FakeSQS(Clock()), FakeSQS(Clock())
    url = receiver.add_queue("https://sqs.invalid/ingest")
    queue = IngestQueue(cast("Any", others), url, url, VISIBILITY_S, cast("Any", receiver))
    assert queue.receive(1, 1) == []
    assert (others.calls, receiver.calls) == ([], ["receive_message"])
    others.add_queue(url)
    assert queue.receive(1, 0) == []
    assert (others.calls, receiver.calls) == (["receive_message"], ["receive_message"])


@given(st.text(max_size=3 * LONGEST_ATTRIBUTE))
def test_any_text_becomes_an_attribute_that_sqs_takes(text: str) -> None:
    made = _attribute(text)
    assert 1 <= len(made) <= LONGEST_ATTRIBUTE
    assert made == printable(made)
    made.encode()


# What SQS leaves open, the fake decides for the worse.


def test_the_fake_does_not_delete_by_an_old_handle() -> None:
    line = fake_line()
    line.send("a")
    old = line.receive_one()
    line.elapse(VISIBILITY_S + 1)
    new = line.receive_one()
    line.queue.delete({old.message_id: old.receipt_handle})
    assert line.client.bodies(line.queue_url) == ["a"]
    line.queue.delete({new.message_id: new.receipt_handle})
    assert line.client.bodies(line.queue_url) == []


def test_the_fake_refuses_to_extend_what_is_visible_again() -> None:
    line = fake_line()
    line.send("a")
    message = line.receive_one()
    line.elapse(VISIBILITY_S + 1)
    assert line.queue.extend({message.message_id: message.receipt_handle}) == {message.message_id}


def test_the_fake_ends_invisibility_after_twelve_hours() -> None:
    line = fake_line()
    line.send("a")
    message = line.receive_one()
    receipts = {message.message_id: message.receipt_handle}
    refused: set[str] = set()
    extensions = 0
    while not refused:
        line.elapse(VISIBILITY_S - 1)
        refused = line.queue.extend(receipts)
        extensions += 1
    assert refused == {message.message_id}
    assert 12 * 3600 - VISIBILITY_S <= extensions * (VISIBILITY_S - 1) <= 12 * 3600


def test_the_fake_refuses_a_message_that_is_too_large() -> None:
    line = fake_line()
    line.send("x" * LARGEST_MESSAGE)
    with pytest.raises(ClientError):
        line.send("x" * (LARGEST_MESSAGE + 1))


def test_the_fake_goes_away_when_told() -> None:
    line = fake_line()
    line.send("a")
    line.client.outages["receive_message"] = 1
    with pytest.raises(Exception, match="Could not connect"):
        line.receive_one()
    assert line.receive_one().receive_count == 1


def test_receipt_handles_say_nothing_about_the_body() -> None:
    line = fake_line()
    line.send("secret body")
    handle = line.receive_one().receipt_handle
    assert "secret" not in handle
    assert hashlib.sha256(b"secret body").hexdigest() not in handle
