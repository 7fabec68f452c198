"""The storm: which nemesis strikes when is drawn from the seed before it begins."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import cast

from chaos.kills import KILLS
from chaos.nemesis import Act, Nemesis, NoVictimError, Outage, World
from chaos.outages import AWAY, OUTAGES

LANES = 2
"""Outages at a time; kills come on top of them."""
SHORT_OUTAGE_S, SHORT_PAUSE_S = (1.0, 5.0), (0.3, 2.0)
LONG_OUTAGE_S, LONG_PAUSE_S = (2.0, 14.0), (4.0, 24.0)
LONG_STORM_S = 300.0
VERY_LONG_OUTAGE_S, VERY_LONG_SHARE = 60.0, 0.1
CALM_PAUSE_S = 20.0
"""Between outages that come one at a time."""


@dataclass(frozen=True)
class Strike:
    """One line of the schedule. `at` and `lasts` are seconds; `seed` is for its own choices."""

    at: float
    nemesis: Nemesis
    lasts: float
    seed: str


def schedule_kills(seed: int, storm_s: float, count: int) -> list[Strike]:
    """Kills at random moments, all over the storm; each kind once before any comes twice by chance."""
    source = random.Random(f"{seed} kills")
    kinds = [*source.sample(KILLS, len(KILLS)), *source.choices(KILLS, [kill.weight for kill in KILLS], k=max(0, count - len(KILLS)))][
        :count
    ]
    source.shuffle(kinds)
    step = storm_s / max(count, 1)
    return [Strike(step * (nth + source.random()), kind, 0.0, f"{seed} kill {nth}") for nth, kind in enumerate(kinds)]


def schedule_outages(seed: int, storm_s: float) -> list[list[Strike]]:
    """Outages one after the other in each lane; every kind once before any comes twice."""
    source = random.Random(f"{seed} outages")
    outage, pause = (SHORT_OUTAGE_S, SHORT_PAUSE_S) if storm_s < LONG_STORM_S else (LONG_OUTAGE_S, LONG_PAUSE_S)
    ends = [source.uniform(*pause) for _ in range(LANES)]
    lanes: list[list[Strike]] = [[] for _ in range(LANES)]
    for nth, nemesis in enumerate(_endless(source)):
        lane = ends.index(min(ends))
        lasts = source.uniform(*outage)
        if storm_s >= LONG_STORM_S and source.random() < VERY_LONG_SHARE:
            lasts = VERY_LONG_OUTAGE_S
        if ends[lane] + lasts > storm_s:
            return lanes
        lanes[lane].append(Strike(ends[lane], nemesis, lasts, f"{seed} outage {nth}"))
        ends[lane] += lasts + source.uniform(*pause)
    return lanes


def calm_s() -> float:
    """Seconds that `schedule_calm` takes."""
    return len(AWAY) * (VERY_LONG_OUTAGE_S + CALM_PAUSE_S)


def schedule_calm(seed: int) -> list[list[Strike]]:
    """Everything that can be away is so once, one at a time."""
    kinds = random.Random(f"{seed} calm").sample(AWAY, len(AWAY))
    step = VERY_LONG_OUTAGE_S + CALM_PAUSE_S
    return [[Strike(CALM_PAUSE_S / 2 + nth * step, kind, VERY_LONG_OUTAGE_S, f"{seed} calm {nth}") for nth, kind in enumerate(kinds)]]


def _endless(source: random.Random) -> Iterator[Nemesis]:
    while True:
        yield from source.sample(OUTAGES, len(OUTAGES))


class Storm:
    """Carries a schedule out. Whatever happens, every outage is ended."""

    def __init__(self, world: World, kills: Sequence[Strike], outages: Sequence[Sequence[Strike]]) -> None:
        self._world = world
        self._lanes = [kills, *outages]
        self._alone = {strike.nemesis.alone: threading.Lock() for lane in self._lanes for strike in lane}
        self.acts: list[Act] = []
        self.missed = 0
        """Strikes that found nothing to strike: what they would have hit was away all the time."""

    def blow(self, stop: threading.Event) -> None:
        """Strike by strike, until all have struck or `stop` is set."""
        begin = time.monotonic()
        with ThreadPoolExecutor(len(self._lanes)) as pool:
            for lane in [pool.submit(self._run, lane, begin, stop) for lane in self._lanes]:
                lane.result()

    def _run(self, lane: Sequence[Strike], begin: float, stop: threading.Event) -> None:
        for strike in lane:
            if stop.wait(max(0.0, begin + strike.at - time.monotonic())):
                return
            self._strike(strike, stop)

    def _strike(self, strike: Strike, stop: threading.Event) -> None:
        source, begun = random.Random(strike.seed), time.time()
        try:
            if strike.nemesis in KILLS:
                strike.nemesis.act(self._world, source)
            else:
                begun = self._outage(strike, source, stop)
        except NoVictimError:
            self.missed += 1
        else:
            self.acts.append(Act(strike.nemesis.name, begun, time.time()))

    def _outage(self, strike: Strike, source: random.Random, stop: threading.Event) -> float:
        """Returns when it began."""
        outage: AbstractContextManager[None] = cast("Outage", strike.nemesis.act)(self._world, source)
        with self._alone[strike.nemesis.alone]:
            begun = time.time()
            with outage:
                stop.wait(strike.lasts)
        return begun
