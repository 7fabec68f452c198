from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.lease import Lease, renew


@dataclass
class FakeRedis:
    """A sorted set, and the one call on it that a renewal makes."""

    scores: dict[str, float] = field(default_factory=dict)
    away: bool = False

    def zadd(self, _name: str, mapping: dict[str, float], *, xx: bool = False) -> None:
        if self.away:
            raise RedisConnectionError("gone")
        self.scores |= {member: score for member, score in mapping.items() if not xx or member in self.scores}


class FakeChannel:
    """kombu's Redis channel: `client` belongs to the BRPOP that is under way, `conn_or_acquire` gives another connection."""

    unacked_index_key = "unacked.decrypt.index"

    def __init__(self, redis: FakeRedis) -> None:
        self._redis = redis

    @property
    def client(self) -> FakeRedis:
        raise AssertionError("the connection of the outstanding BRPOP: whoever reads from it reads a task, and loses it")

    @contextmanager
    def conn_or_acquire(self) -> Iterator[FakeRedis]:
        yield self._redis


@pytest.fixture
def redis() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def consumer(redis: FakeRedis) -> SimpleNamespace:
    return SimpleNamespace(task_consumer=SimpleNamespace(channel=FakeChannel(redis)))


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> set[Any]:
    requests: set[Any] = set()
    monkeypatch.setattr(state, "reserved_requests", requests)
    return requests


@dataclass(frozen=True)
class Request:
    tag: str

    @property
    def message(self) -> SimpleNamespace:
        return SimpleNamespace(delivery_tag=self.tag)


def test_what_is_held_is_young_again(consumer: SimpleNamespace, redis: FakeRedis, held: set[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    redis.scores = {"a": 1.0, "b": 1.0, "another worker's": 1.0}
    held |= {Request("a"), Request("b")}
    monkeypatch.setattr("shared.lease.time.time", lambda: 1_000.0)
    renew(consumer)
    assert redis.scores == {"a": 1_000.0, "b": 1_000.0, "another worker's": 1.0}


def test_what_was_settled_meanwhile_is_not_revived(consumer: SimpleNamespace, redis: FakeRedis, held: set[Any]) -> None:
    held |= {Request("settled")}
    renew(consumer)
    assert redis.scores == {}


def test_holding_nothing_asks_nothing(consumer: SimpleNamespace, redis: FakeRedis, held: set[Any]) -> None:
    redis.away = True
    renew(consumer)


def test_a_redis_that_is_away_ends_no_worker(consumer: SimpleNamespace, redis: FakeRedis, held: set[Any]) -> None:
    redis.away = True
    held |= {Request("a")}
    renew(consumer)


def test_the_lease_is_renewed_well_within_the_timeout_and_ends_with_the_consumer() -> None:
    class Timer:
        def __init__(self) -> None:
            self.calls: list[Any] = []
            self.cancelled = 0

        def call_repeatedly(self, *call: Any) -> "Timer":
            self.calls.append(call)
            return self

        def cancel(self) -> None:
            self.cancelled += 1

    timer = Timer()
    conf = SimpleNamespace(broker_transport_options={"visibility_timeout": 60})
    parent = SimpleNamespace(app=SimpleNamespace(conf=conf), timer=timer)
    step = Lease(parent)
    step.start(parent)
    [(seconds, call, arguments)] = timer.calls
    assert seconds <= 60 / 3
    assert (call, arguments) == (renew, (parent,))
    step.stop(parent)
    step.stop(parent)
    assert timer.cancelled == 1
