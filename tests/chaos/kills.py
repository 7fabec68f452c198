"""Kills: SIGKILL, and over at once."""

import random
import signal
from collections.abc import Callable

from chaos.nemesis import KILL, VICTIM_WITHIN_S, Kill, Nemesis, World, backends, victims
from chaos.stack import Stack, eventually, signal_to


def _kill(find: Callable[[Stack], list[int]], *, one: bool = False) -> Kill:
    def act(world: World, source: random.Random) -> None:
        def killed() -> bool:
            pids = victims(world, find)
            return signal_to([source.choice(pids)] if one else pids, signal.SIGKILL) > 0

        eventually(killed, "a victim that still lives", VICTIM_WITHIN_S)

    return act


POLLER = "poller"
"""In the names of all kills of one: they cost messages a receive, and make them invisible for a while."""

KILLS = (
    Nemesis(f"{KILL}decryptor's child", _kill(lambda s: s.children("decryptor"), one=True), 26),
    Nemesis(f"{KILL}loader's child", _kill(lambda s: s.children("loader"), one=True), 34),
    Nemesis(f"{KILL}decryptor, its children left", _kill(lambda s: s.main("decryptor")), 5),
    Nemesis(f"{KILL}loader, its children left", _kill(lambda s: s.main("loader")), 5),
    Nemesis(f"{KILL}decryptor with children", _kill(lambda s: s.worker("decryptor")), 4),
    Nemesis(f"{KILL}loader with children", _kill(lambda s: s.worker("loader")), 5),
    Nemesis(f"{KILL}{POLLER}", _kill(lambda s: s.main("poller")), 5),
    Nemesis(f"{KILL}Redis", _kill(lambda s: s.main("redis")), 5),
    Nemesis(f"{KILL}PostgreSQL's postmaster", _kill(lambda s: s.main("postgres")), 4),
    Nemesis(f"{KILL}PostgreSQL's backend", _kill(backends, one=True), 5),
)
