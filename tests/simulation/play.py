"""Plays a schedule to its end, lets the faults stop, and asks the model."""

from collections.abc import Sequence

from simulation.between import Armed
from simulation.files import CONTENTS, GROUPS, KEYS, POISON, POISONOUS, File, Part
from simulation.model import judge
from simulation.rounds import Rounds
from simulation.schedule import Action, Announce, Happen, Put, PutGroup, Schedule, Step, Wait
from simulation.stage import Stage
from simulation.troubles import Troubles
from simulation.world import World

MOST_WAITING_S = 60
"""In all, so that waiting alone costs no message a receive."""


class Player:
    """Plays one schedule in one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rounds = Rounds(world)
        self._troubles = Troubles(world, self._rounds)
        self._waited = 0

    def play(self, schedule: Schedule) -> None:
        """All of it, then calm; what must never be is in `world.harms`."""
        self._act_all(schedule)
        self._rounds.let_come()
        self._rounds.calm()
        judge(self._world)

    def _act_all(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case Put():
                self._put(action)
            case PutGroup():
                self._put_group(action)
            case Announce():
                self._announce(action.which)
            case Wait():
                self._wait(action.seconds)
            case Happen():
                self._troubles.happen(action.trouble, action.which)
            case Step():
                self._step(action)

    def _put(self, put: Put) -> None:
        world, path = self._world, POISONOUS if put.kind in POISON else KEYS[put.key]
        if path == POISONOUS and (any(file.path == path for file in world.files) or not world.spend(1)):
            return
        file = File(len(world.files) + 1, path, CONTENTS[put.content], put.kind)
        world.put(file)
        if not put.late:
            world.announce(file)

    def _put_group(self, put: PutGroup) -> None:
        world, dataset = self._world, GROUPS[put.dataset]
        name = f"g{len(world.files) + 1}"
        for number, (kind, late) in enumerate(zip(put.kinds, put.late, strict=True), 1):
            path = f"{dataset}/{name}-{number}"
            file = File(len(world.files) + 1, path, "G", kind, Part(name, number, put.kinds))
            world.put(file)
            if not late:
                world.announce(file)

    def _announce(self, which: int) -> None:
        if waiting := [*self._world.late, *self._world.files]:
            self._world.announce(waiting[which % len(waiting)])

    def _wait(self, seconds: int) -> None:
        if self._waited + seconds <= MOST_WAITING_S:
            self._waited += seconds
            self._world.clock.advance(seconds)

    def _step(self, step: Step) -> None:
        world = self._world
        if step.effect is not None:
            world.between.armed.append(Armed(step.effect, step.at, step.passes, lambda: self._act_all(step.meanwhile)))
        if possible := world.possible():
            world.take(*possible[step.which % len(possible)])


class HarmError(AssertionError):
    """A schedule did harm; the text is its story."""


def play(stage: Stage, schedule: Schedule) -> World:
    """Play a schedule in a new world; what must never be is in its `harms`."""
    world = stage.world()
    Player(world).play(schedule)
    return world


def run(stage: Stage, schedule: Schedule) -> None:
    """Play a schedule.

    Raises:
        HarmError: something happened that must never be.
    """
    world = play(stage, schedule)
    if world.harms:
        raise HarmError("\n".join(["", *world.story, "", *world.harms]))
