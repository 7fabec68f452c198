"""Where a message passes the poller's failpoints, and that the poller looks at its environment for them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.clock import Clock
from fakes.line import BUCKET, FakeBroker, FakePipeline, body, eventbridge, settled
from fakes.poller import DLQ, QUEUE, courier, queues, settings
from shared import failpoint
from shared.contract import Verdict
from shared.failpoint import FailpointError, Point, count_file

VISIBILITY_S = 120
ON_ITS_WAY = (Point.POLLER_RECEIVED, Point.POLLER_HELD, Point.POLLER_SUBMITTED)
KEYS = [f"incoming/orders/{name}.csv.gz.age" for name in "ab"]


class World:
    """One poller, both of whose messages are received in one call."""

    def __init__(self, counts: Path) -> None:
        self.counts = counts
        self.clock = Clock()
        self.sqs = queues(self.clock)
        self.pipeline = FakePipeline()
        self.courier = courier(settings(), self.sqs, self.pipeline, FakeBroker(), self.clock)
        for key in KEYS:
            self.sqs.send_message(QueueUrl=QUEUE, MessageBody=body(eventbridge(key, version=key)))

    def arm(self, action: str) -> None:
        """The action at every point of the second of the two messages, counted."""
        text = ";".join(self.term(point, action) for point in Point)
        failpoint.arm({failpoint.VARIABLE: text, failpoint.FOLDER: str(self.counts)})

    def term(self, point: Point, action: str) -> str:
        return f"{point}({KEYS[1]})={action}"

    @property
    def passed(self) -> list[Point]:
        """Which points it passed, in their order."""
        return [point for point in Point if count_file(self.counts, self.term(point, "sleep:0")).exists()]

    def go(self, verdict: Verdict | None = None) -> None:
        """Receive both, settle both."""
        self.courier.receive()
        if verdict:
            self.courier.settle(settled(tuple(self.pipeline.files), verdict))
        self.courier.keep()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield World(tmp_path)
    failpoint.arm({})


def test_a_file_that_is_loaded_passes(world: World) -> None:
    world.arm("sleep:0")
    world.go(Verdict.DONE)
    assert world.passed == [*ON_ITS_WAY, Point.POLLER_SETTLED, Point.POLLER_DELETED]


def test_a_file_that_is_rejected_passes(world: World) -> None:
    world.arm("sleep:0")
    world.go(Verdict.REJECTED)
    assert world.passed == [*ON_ITS_WAY, Point.POLLER_SETTLED, Point.POLLER_LETTER_SENT, Point.POLLER_DELETED]


def test_a_file_that_is_held_passes_the_heartbeat(world: World) -> None:
    world.arm("sleep:0")
    world.go()
    assert world.passed == [*ON_ITS_WAY, Point.POLLER_EXTENDED]


def test_a_chain_that_fails_is_handed_back(world: World) -> None:
    world.arm("sleep:0")
    world.courier.receive()
    [parcel_id] = set(world.pipeline.chain_of.values())
    world.courier.settle_failed(parcel_id)
    world.courier.keep()
    assert world.passed == [*ON_ITS_WAY, Point.POLLER_HANDED_BACK]


def test_a_stop_hands_back(world: World) -> None:
    world.arm("sleep:0")
    world.courier.receive()
    world.courier.hand_back()
    assert world.passed == [*ON_ITS_WAY, Point.POLLER_HANDED_BACK]


@pytest.mark.parametrize(
    ("point", "in_queue", "letters"),
    [
        (Point.POLLER_SETTLED, 2, 0),
        (Point.POLLER_LETTER_SENT, 2, 2),
        (Point.POLLER_DELETED, 0, 2),
    ],
)
def test_each_step_lies_between_two_points(world: World, point: Point, in_queue: int, letters: int) -> None:
    """What SQS knows when the process ends just there."""
    failpoint.arm({failpoint.VARIABLE: f"{point}({KEYS[1]})=raise"})
    with pytest.raises(FailpointError):
        world.go(Verdict.REJECTED)
    assert (len(world.sqs.bodies(QUEUE)), len(world.sqs.bodies(DLQ))) == (in_queue, letters)


@pytest.mark.parametrize(("point", "held", "submitted"), [("received", 1, 0), ("held", 2, 0), ("submitted", 2, 2)])
def test_each_step_of_the_way_in_lies_between_two_points(world: World, point: str, held: int, submitted: int) -> None:
    failpoint.arm({failpoint.VARIABLE: f"poller.{point}({KEYS[1]})=raise"})
    with pytest.raises(FailpointError):
        world.courier.receive()
    assert (len(world.courier.in_flight), len(world.pipeline.files)) == (held, submitted)


def test_a_wrong_failpoint_is_named_at_start() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HIKYAKU_")}
    settings = {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "QUEUE_URL": QUEUE,
        "DLQ_URL": DLQ,
        "BUCKET": BUCKET,
        "FAILPOINTS": "poller.held=explode",
    }
    environment = clean | {f"HIKYAKU_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "poller"]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert process.returncode == 2
    assert "HIKYAKU_FAILPOINTS: 'poller.held=explode' is not POINT" in process.stderr
    assert "Traceback" not in process.stderr
