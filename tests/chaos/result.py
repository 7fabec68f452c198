"""All that is known of a run when it is over."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.model import Finding
from chaos.nemesis import Act
from chaos.referee import Settled
from chaos.sender import Sent


@dataclass(frozen=True)
class Run:
    """A run that is over.

    Attributes:
        sent: the files.
        acts: what was done to them.
        settled: what became of them.
        findings: what is wrong with that.
        receives: how often SQS handed out each message.
        most_receives: SQS's limit.
        point_kills: kills at each failpoint, by the services' own counts.
        crashed: numbers of the files that lost three processes to kills, and ended as `crashed`.
        visibility_s: SQS's visibility timeout.
    """

    sent: Sequence[Sent]
    acts: Sequence[Act]
    settled: Settled
    findings: Sequence[Finding]
    receives: Sequence[int]
    most_receives: int
    point_kills: dict[str, int]
    crashed: frozenset[int]
    visibility_s: int

    @property
    def kills(self) -> list[Act]:
        """Of processes, or of workers as a whole, whose time is known."""
        return [act for act in self.acts if act.is_kill]

    @property
    def kill_names(self) -> frozenset[str]:
        """Kinds of kill."""
        return frozenset(self.point_kills) | {act.name for act in self.kills}

    @property
    def kill_count(self) -> int:
        """How many there were: those at failpoints by the services' counts of passes."""
        return sum(act.name not in self.point_kills for act in self.kills) + sum(self.point_kills.values())

    @property
    def outages(self) -> list[Act]:
        """The others."""
        return [act for act in self.acts if not act.is_kill]

    @property
    def outage_kinds(self) -> int:
        """How many kinds of outage there were."""
        return len({act.name for act in self.outages})

    def struck(self, acts: Iterable[Act]) -> set[int]:
        """Numbers of the files that were under way at one of these."""
        struck: set[int] = set()
        ends = {(s.file.key, s.version_id): s for s in self.sent}
        settled = {key: entry.updated for key, entry in self.settled.observed.ledger.items()}
        for act in acts:
            struck.update(s.file.number for key, s in ends.items() if s.announced <= act.ended and settled.get(key, math.inf) >= act.begun)
        return struck
