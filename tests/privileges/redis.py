"""What each user of redis/users.acl.template may do, tried on a real server: every command, and keys and channels of everybody.

Redis 7 knows more than 6.2: permissions by direction. What is asked by command and by key is the same.
"""

import socket
from collections.abc import Iterator, Mapping
from typing import Any

from redis import Redis

from integration.redis_fixture import ADMIN
from privileges.matrix import Matrix

DIRECTIONS_SINCE = 7
USERS = ("poller", "decryptor", "loader", "flower", "health")
TITLE = "Redis"
_SUBCOMMANDS_IN_WORDS = """
    acl cat, acl deluser x, acl genpass, acl getuser x, acl list, acl log, acl save, acl setuser x, acl users, acl whoami,
    client getname, client id, client kill 127.0.0.1:1, client list, client no-evict on, client pause 1, client setname x,
    client unpause, config get *, config resetstat, config rewrite, config set x y, debug sleep 0, memory doctor, memory stats,
    object freq x, script exists x, script flush, script kill, script load return, slowlog get, xinfo stream x
"""
SUBCOMMANDS = [each.strip() for each in _SUBCOMMANDS_IN_WORDS.split(",")]
"""What to try of Redis 6.2, each with arguments enough to be understood."""
_KEYS_IN_WORDS = """
    decrypt load settle.poller unacked.decrypt unacked.load unacked.settle unacked.flower unacked.decrypt_index unacked.load_index
    _kombu.binding.decrypt _kombu.binding.load _kombu.binding.settle.poller _kombu.binding.celeryev _kombu.binding_deadlines
    celeryev.x x.reply.celery.pidbox another.key
"""
KEYS = _KEYS_IN_WORDS.split()
CHANNELS = ["/0.celery.pidbox", "/0.celeryev/task.sent", "/0.another", "__keyspace@0__:decrypt"]
# Commands that no user lacks in the direction: so that only the key decides.
# A refused EXEC is answered by EXECABORT with the reason; DEBUG and MODULE, in Redis 7, by a sentence of their own to everybody.
_REFUSED = ("NOPERM", "no permissions", "command not allowed")
PATIENCE_S = 10
_BY_DIRECTION: Mapping[str, str] = {"read": "LLEN", "write": "DEL"}


class Server:
    """A running server with the template's users, each one's password its own name."""

    def __init__(self, port: int) -> None:
        self._port = port
        with Redis(port=port, username=ADMIN, password=ADMIN) as admin:
            self.version = int(admin.info("server")["redis_version"].partition(".")[0])
            self._commands: dict[str, dict[str, Any]] = admin.command()

    def refusal(self, user: str, words: list[str]) -> str:
        """Why the server does not let the user do it: empty, if it does. Each on a connection of its own, for some change its state."""
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE_S) as connection, connection.makefile("rb") as replies:
            connection.sendall(_request("AUTH", user, user))
            assert replies.readline() == b"+OK\r\n", f"{user} is not let in"
            connection.sendall(_request(*words))
            said = replies.readline().decode().strip()
        return said if said.startswith("-") and any(word in said for word in _REFUSED) else ""

    def commands(self) -> Matrix:
        """Every command that the server has, whatever the key."""
        matrix = Matrix(f"{TITLE} {self.version}: commands", USERS)
        for name, words in sorted(self._calls()):
            matrix.note(name, [user for user in USERS if "command" not in self.refusal(user, words)])
        return matrix

    def _calls(self) -> Iterator[tuple[str, list[str]]]:
        """Every command with arguments enough to be understood; of one that contains others, those. Redis 6.2 does not tell which."""
        for name, about in self._commands.items():
            for full, arity, *_ in about.get("subcommands", []):
                words = full.decode().split("|")
                yield " ".join(words), [*words, *_arguments(arity - len(words) + 1 if arity > 0 else arity + len(words) - 1)]
            if not about.get("subcommands"):
                yield name, [name, *_arguments(about["arity"])]
        if self.version < DIRECTIONS_SINCE:
            yield from ((" ".join(words.split()[:2]), words.split()) for words in SUBCOMMANDS)

    def keys(self) -> Matrix:
        """Every user at the keys of every other, by direction where the server knows it."""
        matrix = Matrix(f"{TITLE} {self.version}: keys and channels", USERS)
        for key in KEYS:
            for direction, command in _BY_DIRECTION.items():
                matrix.note(f"{direction} {key}", [user for user in USERS if not self.refusal(user, [command, key])])
        for channel in CHANNELS:
            matrix.note(f"publish {channel}", [user for user in USERS if not self.refusal(user, ["PUBLISH", channel, "x"])])
            matrix.note(f"subscribe {channel}", [user for user in USERS if not self.refusal(user, ["PSUBSCRIBE", channel])])
        return matrix


def _arguments(arity: int) -> Iterator[str]:
    """As many as the command wants at least: a wrong number is refused before the permission is looked at."""
    return iter(["1"] * (abs(arity) - 1))


def _request(*words: str) -> bytes:
    """In Redis's protocol (redis.io, RESP). Not by its client, which waits for more after a few of the commands."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
