"""Everybody does what there is to do, round after round."""

from simulation.process import Process
from simulation.queue import QUEUE
from simulation.world import World

STEP_S = 20.0
SETTLED_WITHIN_S = 30 * 60
"""After the last fault: a deadline, the pauses of a message that came back four times, and room."""
LAST_ROUNDS = 4
"""For what is still to come between."""


class Rounds:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def keep(self) -> None:
        """Every poller keeps its messages."""
        for poller in self._world.pollers:
            # Without anything to come between, it is not worth a line of the story.
            if self._world.between.armed:
                self._world.take(poller, "keep")
            else:
                poller.do("keep")

    def round(self) -> bool:
        """Everybody, once. Returns whether there was anything but keeping."""
        self.keep()
        did = False
        for poller in self._world.pollers:
            if "receive" in poller.steps():
                before = len(self._world.story)
                self._world.take(poller, "receive")
                did |= len(self._world.story) > before + 1
        for process in self._world.processes:
            did |= self._finish_tasks(process)
        if did:
            self.keep()
        return did

    def _finish_tasks(self, process: Process) -> bool:
        did = False
        while not self._world.redis.away and (steps := {"work", "settle"} & set(process.steps())):
            self._world.take(process, *steps)
            did = True
        return did

    def let_come(self) -> None:
        """What is still to come between, may."""
        for _ in range(LAST_ROUNDS):
            if self._world.between.armed:
                self.round()
                self._world.clock.advance(1)

    def outage(self, seconds: float) -> None:
        """Time passes in which something is away."""
        end = self._world.clock() + seconds
        while self._world.clock() < end:
            self.round()
            self._world.clock.advance(STEP_S)

    def calm(self) -> None:
        """The faults stop, all events arrive, and everything settles, or there is harm."""
        world = self._world
        world.tell("-- the faults stop")
        world.between.armed.clear()
        world.redis.away = world.postgres.away = world.s3_away = world.workers_away = world.sqs_away = False
        for file in list(world.late):
            world.announce(file)
        end, pause = world.clock() + SETTLED_WITHIN_S, 1.0
        while not self._is_idle():
            if world.clock() > end:
                world.harm(f"unsettled {SETTLED_WITHIN_S} s after the last fault")
                return
            pause = 1.0 if self.round() else min(2 * pause, STEP_S)
            world.clock.advance(pause)

    def _is_idle(self) -> bool:
        world = self._world
        if world.sqs.queues[QUEUE].messages or world.redis.unacked:
            world.redis.restore()
            return False
        return not any(world.redis.lists.values()) and not any(len(poller.courier.in_flight) for poller in world.pollers)
