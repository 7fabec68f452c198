"""The one ACL template, as Redis 7 has it and as it is translated for 6.2."""

import hashlib
from pathlib import Path

import pytest

from hikyaku import redis_acl
from hikyaku.local import redis_server
from shared.contract import QueueName

TEMPLATE = (Path(__file__).parents[2] / "redis" / "users.acl.template").read_text(encoding="utf-8")
PASSWORDS = {user: f"{user}-password" for user in redis_acl.USERS}


def _users(acl: str) -> dict[str, list[str]]:
    return {line.split()[1]: line.split()[2:] for line in acl.splitlines()}


def test_every_line_of_the_rendered_acl_is_a_user() -> None:
    acl = redis_acl.render(TEMPLATE, PASSWORDS)
    assert all(line.startswith("user ") for line in acl.splitlines())
    assert set(_users(acl)) == {"default", "health", *redis_acl.USERS}


def test_passwords_are_only_there_as_hashes() -> None:
    acl = redis_acl.render(TEMPLATE, PASSWORDS)
    for user, password in PASSWORDS.items():
        assert f"#{hashlib.sha256(password.encode()).hexdigest()}" in _users(acl)[user]
        assert password not in acl
    assert "@" not in acl.replace("+@", "").replace("-@", "")


def test_key_permissions_of_redis_7_become_plain_keys() -> None:
    acl = redis_acl.render("user a on %RW~x* %R~y %W~z* ~w &c\n", {}, redis_6=True)
    assert acl == "user a on ~x* ~y ~z* ~w &c\n"


def test_redis_7_keeps_them() -> None:
    line = "user a on %RW~x* %R~y %W~z* ~w &c\n"
    assert redis_acl.render(line, {}) == line


@pytest.mark.parametrize(
    ("rules", "lets_in"),
    [
        (f"on #{redis_acl.digest('pw')} ~*", True),
        (f"on #{redis_acl.digest('old')} #{redis_acl.digest('pw')}", True),
        ("on >pw", True),
        ("on nopass", True),
        (f"on #{redis_acl.digest('other')}", False),
        ("on", False),
    ],
)
def test_a_password_opens_or_not(rules: str, lets_in: bool) -> None:
    acl = f"user b on #{redis_acl.digest('pw')}\nuser a {rules}\n"
    assert redis_acl.opens(acl, "a", "pw") is lets_in
    assert not redis_acl.opens(acl, "c", "pw")


def test_an_unknown_user_in_the_template_is_an_error() -> None:
    with pytest.raises(KeyError):
        redis_acl.render("user x on #@STRANGER_SHA256@\n", PASSWORDS)


def test_the_default_user_is_off_but_may_replay_the_append_only_file() -> None:
    rules = _users(TEMPLATE)["default"]
    assert rules[0] == "off"
    assert "+@all" in rules
    assert "nopass" not in rules


def test_no_service_may_look_around_or_wipe() -> None:
    for user in redis_acl.USERS:
        rules = _users(TEMPLATE)[user]
        assert "-@all" in rules
        assert not {"+@all", "+keys", "+scan", "+flushall", "+config", "~*", "allkeys"} & set(rules)


@pytest.mark.parametrize(
    ("user", "consumes", "produces"),
    [
        ("poller", {QueueName.SETTLE}, {QueueName.DECRYPT}),
        ("decryptor", {QueueName.DECRYPT}, {QueueName.LOAD, QueueName.SETTLE}),
        ("loader", {QueueName.LOAD}, {QueueName.SETTLE}),
        ("flower", set(), set()),
    ],
)
def test_each_service_consumes_its_own_queue_only(user: str, consumes: set[QueueName], produces: set[QueueName]) -> None:
    rules = _users(TEMPLATE)[user]
    assert QueueName.TIDY.startswith(QueueName.DECRYPT), "else it needs rules of its own"
    for queue in set(QueueName) - {QueueName.TIDY}:
        assert (f"%RW~{queue}*" in rules) == (queue in consumes)
        assert (f"%W~{queue}*" in rules) == (queue in produces)
        assert (f"%RW~unacked.{queue}*" in rules) == (queue in consumes)


def test_redis_is_durable_and_on_loopback() -> None:
    config = redis_server.render_config(Path("/some where/x"), 20_001).splitlines()
    assert "bind 127.0.0.1" in config
    assert "appendonly yes" in config
    assert "maxmemory-policy noeviction" in config
    assert 'aclfile "/some where/x/users.acl"' in config
