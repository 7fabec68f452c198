"""What is away, since when, and when to look again. One log line each way. Thread-safe; it calls no I/O but the log."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from shared import protocol
from shared.logging import get_logger
from shared.protocol import Breaker, Dependency


@dataclass(frozen=True, slots=True)
class Record:
    """How often and how long one dependency was away, the present outage included."""

    is_away: bool
    outages: int
    away_s: float


class Outages:
    """The breakers of every dependency, and the one rhythm in which those that are away are probed.

    Args:
        clock: seconds, monotonic.
        chance: a number from 0 to 1, another each time.
        held: how many messages the poller holds, for the log.
    """

    def __init__(self, clock: Callable[[], float], chance: Callable[[], float], held: Callable[[], int]) -> None:
        self._clock = clock
        self._chance = chance
        self._held = held
        self._lock = threading.Lock()
        self._breakers = {dependency: Breaker.of(dependency) for dependency in Dependency}
        self._begun = dict.fromkeys(Dependency, 0)
        self._away_s = dict.fromkeys(Dependency, 0.0)
        """Of outages that ended."""
        self._probes = 0
        self._next_probe = 0.0

    def away(self, *which: Dependency) -> bool:
        """Whether any of these is away."""
        with self._lock:
            return any(self._breakers[dependency].opened is not None for dependency in which)

    def began(self, *which: Dependency) -> float | None:
        """When the first of these that are away went."""
        with self._lock:
            return min((opened for each in which if (opened := self._breakers[each].opened) is not None), default=None)

    def failed(self, dependency: Dependency, reason: str) -> None:
        """Note that it did not do its work."""
        with self._lock:
            now = self._clock()
            opened = self._breakers[dependency].failed(now)
            if opened:
                self._begun[dependency] += 1
                self._probes = 0
                self._next_probe = now + protocol.probe_pause(0, self._chance())
        if opened:
            get_logger().warning("away", action="outage", dependency=dependency, reason=reason, held=self._held())

    def worked(self, *which: Dependency) -> frozenset[Dependency]:
        """Note that these did their work. Returns those that are back by it."""
        with self._lock:
            now = self._clock()
            lasted = {each: seconds for each in which if (seconds := self._breakers[each].worked(now)) is not None}
            for dependency, seconds in lasted.items():
                self._away_s[dependency] += seconds
        for dependency, seconds in lasted.items():
            get_logger().info("back", action="outage", dependency=dependency, away_s=round(seconds, 1), held=self._held())
        return frozenset(lasted)

    def probe_due(self) -> bool:
        """Whether it is time to look again; if so, the next time is set."""
        with self._lock:
            now = self._clock()
            if now < self._next_probe:
                return False
            self._probes += 1
            self._next_probe = now + protocol.probe_pause(self._probes, self._chance())
            return True

    def records(self) -> dict[Dependency, Record]:
        """How each has done since the start."""
        with self._lock:
            now = self._clock()
            return {each: self._record(each, now) for each in Dependency}

    def _record(self, dependency: Dependency, now: float) -> Record:
        opened = self._breakers[dependency].opened
        present = 0.0 if opened is None else now - opened
        return Record(opened is not None, self._begun[dependency], self._away_s[dependency] + present)

    def status(self) -> str:
        """One line for a person: what is away, and for how long."""
        with self._lock:
            now = self._clock()
            away = {name: now - breaker.opened for name, breaker in self._breakers.items() if breaker.opened is not None}
        return ", ".join(f"{name} away for {seconds:.0f} s" for name, seconds in away.items()) or "all is there"
