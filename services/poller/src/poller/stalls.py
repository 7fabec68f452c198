"""Which files stall the workers that get them, as opposed to those that wait in line, are lost on their way, or wait for the world."""

from collections.abc import Callable, Mapping, Sequence

from poller.held import Held
from shared import protocol
from shared.contract import Problem
from shared.errors import ErrorCode

LOOKS = 20
"""Looks into the workers' hands per task deadline, while there is a chain that takes long."""
MOST_REMEMBERED = 1000
"""Messages whose stalls are remembered between their receives."""

PROBLEM = Problem(
    error_code=ErrorCode.TIMEOUT,
    message=(
        f"{protocol.STALLS} times a worker had this file and did not end, while other files went through: see its log for the file, raise "
        "HIKYAKU_TASK_DEADLINE should it only be slow, and redrive"
    ),
    retry=False,
)

Hands = Callable[[Sequence[str]], Mapping[str, str]]
"""Of these chains those that a worker is busy with, each with a name of that very run."""


class Stalls:
    """The keeper's memory of what the workers have in their hands. Lost with its process: then a file is tried more often.

    Args:
        clock: seconds, monotonic.
        task_deadline: seconds, of an empty file.
        hands: asks the workers.
    """

    def __init__(self, clock: Callable[[], float], task_deadline: float, hands: Hands) -> None:
        self._clock = clock
        self._pause = task_deadline / LOOKS
        self._hands = hands
        self._next_look = protocol.NEVER
        self._seen: dict[str, tuple[str, float]] = {}
        """By chain: the run of a worker that has it, and when it was first seen with it."""
        self._silences: dict[str, tuple[int, int]] = {}
        """By message id, the least recent first: stalls so far, and how many files had gone through at its last silence in hand."""

    def watch(self, chains: Mapping[str, bool]) -> None:
        """Look, should it be time, who has these chains.

        Args:
            chains: each with whether it is overdue. Those are asked for no more: the worker may just have killed their process.

        Raises:
            BROKER_ERRORS: Redis is away.
        """
        self._seen = {chain: seen for chain, seen in self._seen.items() if chain in chains}
        asked, now = [chain for chain, overdue in chains.items() if not overdue], self._clock()
        if not asked or now < self._next_look:
            return
        self._next_look = now + self._pause
        runs = self._hands(asked)
        for chain in asked:
            before = self._seen.pop(chain, None)
            if run := runs.get(chain):
                self._seen[chain] = before if before and before[0] == run else (run, now)

    def is_in_hand(self, chain: str) -> bool:
        """Whether a worker had it when last looked."""
        return chain in self._seen

    def is_hopeless(self, held: Held, allowed: float, went_through: int) -> bool:
        """Whether this silence of a message's chain, past its deadline, is one stall too many.

        Another file is to have gone through since the silence before, not only since this chain: where a file hangs all workers, the
        others go through in the moment between its chains.

        Args:
            held: the message.
            allowed: seconds for which its chain might be silent.
            went_through: how many files have gone through by now.
        """
        message_id, seen = held.message.message_id, self._seen.get(held.parcel_id)
        if seen is None:
            return False
        stalls, went_before = self._silences.pop(message_id, (0, held.went_before))
        others = went_through > min(went_before, held.went_before)
        stalls += protocol.is_stall(self._clock() - seen[1], allowed, files=len(held.files), others_went_through=others)
        self._silences[message_id] = stalls, went_through
        if len(self._silences) > MOST_REMEMBERED:
            del self._silences[next(iter(self._silences))]
        return stalls >= protocol.STALLS
