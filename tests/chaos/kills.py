"""Kills: SIGKILL, and over at once."""

import random
import signal
from collections.abc import Callable

from chaos.nemesis import VICTIM_WITHIN_S, Kill, Nemesis, World, backends, victims
from chaos.stack import Stack, eventually, signal_to


def _kill(find: Callable[[Stack], list[int]], *, one: bool = False) -> Kill:
    def act(world: World, source: random.Random) -> None:
        def killed() -> bool:
            pids = victims(world, find)
            return signal_to([source.choice(pids)] if one else pids, signal.SIGKILL) > 0

        eventually(killed, "a victim that still lives", VICTIM_WITHIN_S)

    return act


KILLS = (
    Nemesis("kill: decryptor's child", _kill(lambda s: s.children("decryptor"), one=True), 26),
    Nemesis("kill: loader's child", _kill(lambda s: s.children("loader"), one=True), 34),
    Nemesis("kill: decryptor, its children left", _kill(lambda s: s.main("decryptor")), 5),
    Nemesis("kill: loader, its children left", _kill(lambda s: s.main("loader")), 5),
    Nemesis("kill: decryptor with children", _kill(lambda s: s.worker("decryptor")), 4),
    Nemesis("kill: loader with children", _kill(lambda s: s.worker("loader")), 5),
    Nemesis("kill: poller", _kill(lambda s: s.main("poller")), 7),
    Nemesis("kill: Redis", _kill(lambda s: s.main("redis")), 5),
    Nemesis("kill: PostgreSQL's postmaster", _kill(lambda s: s.main("postgres")), 4),
    Nemesis("kill: PostgreSQL's backend", _kill(backends, one=True), 5),
)
