"""What goes wrong: a nemesis kills, which is over at once, or makes an outage, which lasts."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

import psycopg

from chaos.proxy import Proxies
from chaos.sender import Sender
from chaos.stack import GaveUpError, Stack, eventually

VICTIM_WITHIN_S = 20.0
"""A victim that is just being restarted is waited for."""
KILL = "kill: "
"""How the names of all kills begin."""


@dataclass(frozen=True)
class World:
    """What a nemesis acts on. `disk`: whether PostgreSQL's can be full."""

    stack: Stack
    proxies: Proxies
    sender: Sender
    disk: bool = False


class NoVictimError(Exception):
    """There is nothing to strike."""


Kill = Callable[[World, random.Random], object]
Outage = Callable[[World, random.Random], AbstractContextManager[None]]


@dataclass(frozen=True)
class Nemesis:
    """A thing that goes wrong.

    Attributes:
        name: in the table.
        act: does it; an outage's context ends it.
        weight: how often, among its kind.
        alone: outages with the same word never overlap.
    """

    name: str
    act: Kill | Outage
    weight: int = 1
    alone: str = ""


@dataclass(frozen=True)
class Act:
    """A nemesis that has struck: Unix times of its begin and end."""

    name: str
    begun: float
    ended: float

    @property
    def is_kill(self) -> bool:
        """Whether it was over at once, rather than an outage."""
        return self.name.startswith(KILL)


def victims(world: World, find: Callable[[Stack], list[int]]) -> list[int]:
    """Processes to strike.

    Raises:
        NoVictimError: there are none.
    """
    try:
        return eventually(lambda: find(world.stack), "a victim", VICTIM_WITHIN_S)
    except GaveUpError as error:
        raise NoVictimError from error


def backends(stack: Stack) -> list[int]:
    """PostgreSQL's processes that serve the loader."""
    with suppress(psycopg.Error):
        found = [row[0] for row in stack.rows("SELECT pid FROM pg_stat_activity WHERE usename = 'hikyaku_loader'")]
        return [pid for pid in found if pid in stack.children("postgres")]
    return []
