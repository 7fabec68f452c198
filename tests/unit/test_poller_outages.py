from itertools import repeat

import pytest
from structlog.testing import capture_logs

from fakes.clock import Clock
from poller.outages import Outages
from shared.protocol import LONGEST_PROBE_S, Dependency


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outages(clock: Clock) -> Outages:
    return Outages(clock, repeat(1.0).__next__, lambda: 3)


def test_one_log_line_each_way_with_all_that_a_person_wants_to_know(outages: Outages, clock: Clock) -> None:
    with capture_logs() as logs:
        for _ in range(5):
            outages.failed(Dependency.BROKER, "ConnectionError")
            clock.advance(2)
        for _ in range(5):
            outages.worked(Dependency.BROKER)
    common = {"action": "outage", "dependency": Dependency.BROKER, "held": 3}
    assert logs == [
        {"event": "away", "log_level": "warning", "reason": "ConnectionError"} | common,
        {"event": "back", "log_level": "info", "away_s": 10.0} | common,
    ]


def test_what_is_away_is_told_apart(outages: Outages, clock: Clock) -> None:
    outages.failed(Dependency.WORKERS, "")
    clock.advance(5)
    outages.failed(Dependency.BROKER, "")
    assert outages.away(Dependency.BROKER)
    assert outages.away(Dependency.QUEUE, Dependency.WORKERS)
    assert not outages.away(Dependency.QUEUE, Dependency.DATABASE)
    assert not outages.away()
    assert outages.began(Dependency.BROKER, Dependency.WORKERS) == clock.now - 5
    assert outages.began(Dependency.QUEUE) is None
    assert outages.status() == "redis away for 0 s, workers away for 5 s"
    assert outages.worked(Dependency.QUEUE, Dependency.BROKER) == {Dependency.BROKER}
    assert outages.status() == "workers away for 5 s"


def test_probes_begin_fast_and_are_never_rarer_than_recovery_allows(outages: Outages, clock: Clock) -> None:
    outages.failed(Dependency.BROKER, "")
    began, probed = clock.now, []
    for _ in range(40):
        clock.advance(0.5)
        if outages.probe_due():
            probed.append(clock.now - began)
    assert probed == [1, 3, 7, 12, 17]
    assert probed[-1] - probed[-2] == LONGEST_PROBE_S


def test_a_new_outage_is_probed_fast_again(outages: Outages, clock: Clock) -> None:
    for _ in range(10):
        outages.probe_due()
        clock.advance(LONGEST_PROBE_S)
    assert outages.probe_due()
    outages.failed(Dependency.BROKER, "")
    clock.advance(1)
    assert outages.probe_due()
