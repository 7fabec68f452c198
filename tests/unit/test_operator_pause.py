"""A pause: the operator's file, and the poller that follows it."""

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fakes.clock import Clock
from fakes.line import FakeBroker, FakePipeline, body, eventbridge, settled
from fakes.poller import QUEUE, courier, queues, settings
from hikyaku.errors import UserError
from hikyaku.operator import pausing
from poller.pause import Paused, PauseFile, read

SAID = {"who": "toki", "host": "edo", "when": "2026-11-26T12:00:00+00:00", "why": "引っ越し"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pause.json"


def test_the_poller_reads_what_the_operator_writes(path: Path) -> None:
    pausing._write(path, SAID)
    assert read(path) == Paused("toki", SAID["when"], "引っ越し")
    assert pausing.shown(pausing.read(path) or {}) == f"by toki on edo since {SAID['when']}: 引っ越し"
    assert [each.name for each in path.parent.iterdir()] == [path.name], "nothing half written is left"
    assert path.stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize("text", [b"", b"no json", b"[1]", b'{"who": 5}', b"\xff\xfe", b'{"why": "a\\u001b[31m"}'])
def test_a_file_that_says_nothing_pauses_too(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    found = PauseFile(path)
    assert found.is_on()
    assert "\x1b" not in found.status()
    assert found.status().startswith("paused by somebody")
    assert pausing.read(path) is not None


def test_a_file_that_can_not_be_read_pauses_and_says_so(path: Path) -> None:
    path.mkdir()
    assert "can't be read" in PauseFile(path).status()
    with pytest.raises(UserError):
        pausing.read(path)


def test_without_a_file_nothing_is_paused(path: Path) -> None:
    assert not PauseFile(path).is_on()
    assert not PauseFile(None).is_on()
    assert PauseFile(path).status() == ""
    assert pausing.read(path) is None


def test_each_way_is_one_line_in_the_log(path: Path) -> None:
    pause = PauseFile(path)
    with capture_logs() as logs:
        pausing._write(path, SAID)
        assert pause.is_on()
        assert pause.is_on()
        path.unlink()
        assert not pause.is_on()
        assert not pause.is_on()
    assert [(line["event"], line.get("who")) for line in logs] == [("paused", "toki"), ("resumed", None)]


def test_a_poller_that_starts_in_a_pause_stays_in_it(path: Path) -> None:
    pausing._write(path, SAID)
    with capture_logs() as logs:
        assert PauseFile(path).is_on()
    assert [line["event"] for line in logs] == ["paused"]


def test_a_paused_poller_receives_nothing_and_ends_what_it_holds(path: Path) -> None:
    clock, pipeline = Clock(), FakePipeline()
    sqs = queues(clock)
    poller = courier(settings(pause_file=path), sqs, pipeline, FakeBroker(), clock)
    sqs.send_message(QueueUrl=QUEUE, MessageBody=body(eventbridge(version="v1")))
    assert poller.receive() == 1
    pausing._write(path, SAID)
    sqs.send_message(QueueUrl=QUEUE, MessageBody=body(eventbridge(version="v2")))

    before = sqs.calls.count("receive_message")
    assert poller.receive() == 0
    assert sqs.calls.count("receive_message") == before, "SQS is not even asked"
    poller.keep()
    poller.settle(settled(pipeline.parcels[0]))
    poller.keep()
    assert len(sqs.bodies(QUEUE)) == 1, "what was held is settled"

    path.unlink()
    assert poller.receive() == 1
    assert json.loads(sqs.bodies(QUEUE)[0])["detail"]["object"]["version-id"] == "v2"
