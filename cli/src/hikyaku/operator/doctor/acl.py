"""Redis's users beside redis/users.acl.template: which commands, keys and channels each has too many, or lacks.

A server writes its rules otherwise than it was told them (6.2 puts categories in place of commands), so it is not the rules that are
compared but what they come to: https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from hikyaku.operator.doctor.finding import Finding, fail, ok

DIRECTIONS_SINCE = 7
NO_PASSWORD = {"health", "default"}
_DIRECTION = re.compile(r"%([RW]{1,2})~")
_PLACES = ("~", "&", "%")
_EVERYTHING = {"allkeys": "~*", "allchannels": "&*", "allcommands": "+@all", "nocommands": "-@all"}


@dataclass(frozen=True, slots=True)
class User:
    """One line of ACL LIST."""

    is_on: bool
    without_password: bool
    places: frozenset[str]
    """Patterns of keys and channels."""
    rules: tuple[str, ...]
    """Of commands, in their order."""


class Commands:
    """What rules come to on this server.

    Args:
        of_category: asks for a category's commands (ACL CAT).
        all_of_them: asks for every command.
    """

    def __init__(self, of_category: Callable[[str], Iterable[str]], all_of_them: Callable[[], Iterable[str]]) -> None:
        self._of_category, self._all = of_category, all_of_them
        self._known: dict[str, frozenset[str]] = {}

    def allowed(self, rules: Iterable[str]) -> frozenset[str]:
        """Commands that these rules allow, taken in their order."""
        found: set[str] = set()
        for rule in rules:
            named = self._named(rule[1:])
            if rule.startswith("+"):
                found |= named
            else:
                found -= named | {each for each in found if each.partition("|")[0] in named}
        return frozenset(found)

    def _named(self, name: str) -> frozenset[str]:
        if not name.startswith("@"):
            return frozenset({name})
        if name not in self._known:
            self._known[name] = frozenset(self._all() if name == "@all" else self._of_category(name[1:]))
        return self._known[name]


def of_template(text: str, version: int) -> list[str]:
    """Lines as this server would list them: %RW~ is plain ~, and before Redis 7 all of them are."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [_DIRECTION.sub(lambda found: "~" if version < DIRECTIONS_SINCE or len(found[1]) > 1 else found[0], line) for line in lines]


def rules_of(text: str) -> Mapping[str, tuple[str, ...]]:
    """Of an ACL file: rules by user, without the passwords' hashes."""
    lines = [line.split() for line in text.splitlines() if line.startswith("user ")]
    return {words[1]: tuple(word for word in words[2:] if not word.startswith("#")) for words in lines}


def parse(lines: Iterable[str]) -> Mapping[str, User]:
    """Users by name."""
    return {line.split()[1]: _user([_EVERYTHING.get(word, word) for word in line.split()[2:]]) for line in lines}


def _user(words: list[str]) -> User:
    return User(
        is_on="on" in words,
        without_password="nopass" in words,
        places=frozenset(word for word in words if word.startswith(_PLACES)),
        rules=tuple(word.lower() for word in words if word.startswith(("+", "-"))),
    )


def compared(name: str, expected: User, found: User | None, commands: Commands, mend: str) -> Iterator[Finding]:
    """One user beside what the template says."""
    if found is None or (expected.is_on and not found.is_on):
        yield fail(f"Redis has no user {name}, or it is off", "its service can't log in", mend)
        return
    if name == "default" and found.is_on:
        yield fail("Redis's user default is on", "whoever reaches the port needs no password of ours", mend)
        return
    if found.without_password and name not in NO_PASSWORD:
        yield fail(f"Redis's user {name} needs no password", "whoever reaches the port is this service", mend)
    if name == "default":
        return
    may, should = commands.allowed(found.rules), commands.allowed(expected.rules)
    too_many = sorted(may - should) + sorted(found.places - expected.places)
    lacking = sorted(should - may) + sorted(expected.places - found.places)
    if too_many:
        why = "the parting of the services rests on it: a service that is taken over reaches the others' tasks"
        yield fail(f"Redis's user {name} may do too much: {_few(too_many)}", why, mend)
    if lacking:
        yield fail(f"Redis's user {name} lacks {_few(lacking)}", "its service fails", mend)
    if not too_many and not lacking:
        yield ok(f"Redis's user {name} is as designed")


def _few(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
