"""One message that the poller holds, and what is left of it when it is let go. Pure: it calls no I/O."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from poller.sqs import Message
from shared import protocol
from shared.contract import AfterLoad, Chore, FileRef, Problem, Settlement
from shared.protocol import DECISIONS, NEVER, Happening, MessageState


@dataclass(slots=True)
class Held:
    """One message in flight. Times are seconds of the registry's clock."""

    message: Message
    files: tuple[FileRef, ...]
    received: float
    state: MessageState = MessageState.RECEIVED
    deadline: float = 0.0
    """While it is in flight."""
    begun: float = 0.0
    """When its newest chain was submitted. Its allowance later the chain is passed over, should no worker have begun it."""
    submit_at: float = 0.0
    """While it waits for its (re)submission."""
    parcel_id: str = ""
    """Of its newest chain: what an older one still says about its failure is of no account."""
    retries: int = 0
    own_failures: int = 0
    """Those since whose predecessor another file went through."""
    failed_after: int = -1
    """How many files had gone through when it failed last."""
    went_before: int = 0
    """How many files had gone through when its chain was submitted."""
    problem: Problem | None = None
    """Why its files are not tried any more, but to be rejected."""
    waits: int = 0
    """Chains that passed the deadline in nobody's hands."""
    probed_at: float = NEVER
    settled: dict[str, Settlement] = field(default_factory=dict)
    wanted: dict[str, dict[str, Chore]] = field(default_factory=dict)
    """By a file with its fate: what it wants done in S3, by the file whose object it is."""
    chores: tuple[Chore, ...] = ()
    """Of its newest chain; none: that one decrypts and loads."""
    refusals: dict[str, int] = field(default_factory=dict)
    """How often a file's object was not tagged or deleted, which was not the world's fault."""
    tidied: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Files of which S3 is to be told no more, each with the error codes for which that was given up, of either half; empty: done."""

    @property
    def key(self) -> str:
        """Of its first file."""
        return self.files[0].key

    @property
    def size(self) -> int:
        """Ciphertext bytes of its files; none any more once they are only to be tagged or deleted."""
        return 0 if self.untidied else sum(file.size for file in self.files)

    @property
    def unsettled(self) -> tuple[FileRef, ...]:
        """Files that still have no final fate."""
        return tuple(file for file in self.files if file.file_id not in self.settled)

    @property
    def untidied(self) -> tuple[Chore, ...]:
        """What S3 is still to be told, once every file has its fate."""
        if not self.settled or self.unsettled:
            return ()
        return tuple(chore for file_id, chore in self.all_wanted.items() if file_id not in self.tidied)

    @property
    def all_wanted(self) -> dict[str, Chore]:
        """What S3 is to be told, done or not, by the file whose object it is."""
        return {file_id: chore for chores in self.wanted.values() for file_id, chore in chores.items()}

    @property
    def travelling(self) -> tuple[FileRef, ...]:
        """Files that its next chain, or its newest, is about."""
        return tuple(chore.file for chore in self.chores) or self.unsettled

    @property
    def under_way(self) -> bool:
        """Whether its chain is under way."""
        return self.state is MessageState.IN_FLIGHT

    def settle(self, settlement: Settlement) -> bool:
        """Note a file's fate, and what it wants done with its object, and with those of its group.

        Returns:
            Whether S3 was told of another fate already, and is to be told again.
        """
        before = self.settled.get(settlement.file_id)
        again = before is not None and _told(before) != _told(settlement) and self.tidied.pop(settlement.file_id, None) is not None
        self.settled[settlement.file_id] = settlement
        own = [file for file in self.files if file.file_id == settlement.file_id]
        self.wanted[settlement.file_id] = {chore.file.file_id: chore for file in own for chore in _chores(file, settlement)}
        return again

    def move(self, to: MessageState) -> None:
        """Take a step of the protocol; staying is none."""
        if to is not self.state:
            self.state = protocol.moved(self.state, to)

    def wait(self, why: Happening, until: float = NEVER) -> None:
        """Go on being held, to be submitted (again); at once unless told."""
        self.move(DECISIONS[why].state)
        self.submit_at = until

    def is_overdue(self, now: float) -> bool:
        """Whether its chain passed its deadline."""
        return self.under_way and self.deadline <= now

    def is_patient(self, now: float) -> bool:
        """Whether it waits out a pause of its own, being probably sick itself."""
        return self.own_failures >= protocol.PATIENT_AFTER and self.submit_at > now


def _told(settlement: Settlement) -> tuple[str | None, str | None]:
    """What tells the chores of one fate from those of another. Not what comes back: each time that is other bytes of the same rows."""
    return settlement.receipt.name if settlement.receipt else None, settlement.after_load


def _chores(file: FileRef, settlement: Settlement) -> Iterator[Chore]:
    if settlement.after_load or settlement.receipt:
        yield Chore(file=file, after_load=settlement.after_load or AfterLoad.KEEP, receipt=settlement.receipt, returned=settlement.returned)
    if settlement.after_load:
        for sibling in settlement.siblings:
            other = {"key": sibling.key, "version_id": sibling.version_id, "etag": sibling.etag, "announced_key": ""}
            yield Chore(file=file.model_copy(update=other), after_load=settlement.after_load)


@dataclass(frozen=True, slots=True)
class Finished:
    """A message that is to be let go, and why; `rejection` is the first rejected file's settlement."""

    message: Message
    happening: Happening
    rejection: Settlement | None = None
    key: str = field(default="", compare=False)
    """Of its first file; empty if it announces none."""
    tidied: tuple["Told", ...] = ()
    """Of the files of which S3 was to be told."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a file's chore. Of either half: an error code if it was given up; empty if it is done; None if it was not wanted."""

    key: str
    object: str | None
    """To be tagged or deleted."""
    receipt: str | None
    """To be put."""
