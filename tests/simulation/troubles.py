"""What happens to the line from outside, between two steps. Each says what it may cost a message (`World.spend`)."""

from collections.abc import Callable

from simulation.queue import QUEUE, VISIBILITY_S
from simulation.rounds import STEP_S, Rounds
from simulation.schedule import Trouble
from simulation.world import World

DEADLINE_S = 600
"""HIKYAKU_TASK_DEADLINE, by default."""
OUTAGE_S = 11 * 60
"""Longer than a deadline, and long enough for a message to burn all its receives if each were handed back."""


class Troubles:
    """Of one world."""

    def __init__(self, world: World, rounds: Rounds) -> None:
        self._world, self._rounds = world, rounds
        self._had_outage = False
        self._acts: dict[Trouble, Callable[[int], bool]] = {
            Trouble.FLUSH: self._flush,
            Trouble.LOSE_TASK: self._lose_task,
            Trouble.REPEAT_TASK: self._repeat_task,
            Trouble.REDIS_TOGGLE: lambda _: self._toggle("redis"),
            Trouble.POSTGRES_TOGGLE: lambda _: self._toggle("postgres"),
            Trouble.S3_TOGGLE: lambda _: self._toggle("s3"),
            # Each poller may find out by a chain of its own that nobody answers.
            Trouble.WORKERS_TOGGLE: lambda _: (world.workers_away or world.spend(len(world.pollers))) and self._toggle("workers"),
            Trouble.REDELIVER: self._redeliver,
            Trouble.STALL: self._stall,
            Trouble.STARVE: self._starve,
            Trouble.STOP_POLLER: self._stop_poller,
            Trouble.POSTGRES_OUTAGE: lambda _: self._outage("postgres"),
            Trouble.S3_OUTAGE: lambda _: self._outage("s3"),
            Trouble.REDIS_OUTAGE: lambda _: self._outage("redis"),
            Trouble.SQS_OUTAGE: lambda _: world.spend(1) and self._outage("sqs"),
        }

    def happen(self, trouble: Trouble, which: int) -> None:
        """Let it happen, if it can now; `which` is the choice among those that it can happen to."""
        self._world.tell(f"-- {trouble}")
        if not self._acts[trouble](which):
            self._world.story.pop()

    # Redis

    def _flush(self, _: int) -> bool:
        self._world.tasks_lost = True
        self._world.redis.forget()
        return True

    def _queues(self) -> list[str]:
        return [name for name, tasks in self._world.redis.lists.items() if tasks]

    def _lose_task(self, which: int) -> bool:
        queues = self._queues()
        if not queues or not self._world.spend(1):
            return False
        self._world.tasks_lost = True
        self._world.redis.lists[queues[which % len(queues)]].popleft()
        return True

    def _repeat_task(self, which: int) -> bool:
        if not (queues := self._queues()):
            return False
        tasks = self._world.redis.lists[queues[which % len(queues)]]
        tasks.append(tasks[0])
        return True

    # Away, and back

    def _toggle(self, what: str) -> bool:
        self._set_away(what, away=not getattr(*self._switch(what)))
        return True

    def _set_away(self, what: str, *, away: bool) -> None:
        setattr(*self._switch(what), away)

    def _switch(self, what: str) -> tuple[object, str]:
        return (getattr(self._world, what), "away") if what in {"redis", "postgres"} else (self._world, f"{what}_away")

    def _outage(self, what: str) -> bool:
        if self._had_outage or self._world.between.frames:
            return False
        self._had_outage = True
        self._set_away(what, away=True)
        self._rounds.outage(OUTAGE_S)
        self._set_away(what, away=False)
        self._world.tell(f"-- {what} is back")
        return True

    # Time, and pollers

    def _redeliver(self, which: int) -> bool:
        world = self._world
        held = [message for message in world.sqs.queues[QUEUE].messages.values() if message.visible_at > world.clock()]
        if not held or not world.spend(1):
            return False
        held[which % len(held)].visible_at = world.clock()
        return True

    def _stall(self, _: int) -> bool:
        if not self._world.spend(1):
            return False
        self._world.clock.advance(VISIBILITY_S + 10)
        return True

    def _starve(self, _: int) -> bool:
        if self._world.between.frames or not self._world.spend(2):
            return False
        for _ in range(int(DEADLINE_S / STEP_S) + 1):
            self._world.clock.advance(STEP_S)
            self._rounds.keep()
        return True

    def _stop_poller(self, which: int) -> bool:
        poller = self._world.pollers[which % len(self._world.pollers)]
        if any(frame.process is poller for frame in self._world.between.frames) or not self._world.spend(1):
            return False
        self._world.take(poller, "stop")
        return True
