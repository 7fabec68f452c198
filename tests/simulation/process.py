"""What all processes of the line have in common: they can be killed, and start again at once without a memory."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.world import World


class Crash(BaseException):
    """The process is killed: nothing that it could do afterwards happens."""


class ChildCrash(Crash):
    """A worker's child is killed, and its parent lives."""


class Process:
    """One that can be killed."""

    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name = world, name
        self.lives = 0

    def start(self) -> None:
        """Begin a life that remembers nothing."""
        self.lives += 1

    def steps(self) -> list[str]:
        """What it could do now."""
        raise NotImplementedError

    def do(self, step: str) -> None:
        """One step, as far as it gets. A crash in one thread is the others' crash too, and only one new life begins."""
        life = self.lives
        try:
            self.take(step)
        except Crash as crash:
            if self.lives == life:
                self.start()
            with self.world.between.nothing():
                self.buried(crash)

    def take(self, step: str) -> None:
        """The step."""
        raise NotImplementedError

    def died(self) -> None:
        """Called in the moment of its death."""

    def buried(self, crash: Crash) -> None:
        """Called when the new life has begun."""
