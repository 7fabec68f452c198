"""Which versions a replay is about."""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from hikyaku.operator.inventory.bucket import INCOMING, is_ours
from hikyaku.operator.inventory.matching import Pair
from hikyaku.operator.replay.order import Step, steps


@dataclass(frozen=True, slots=True)
class Selection:
    """Each of these narrows it down."""

    key: str = ""
    prefix: str = ""
    version: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    before: dt.datetime | None = None
    """Younger versions that the ledger does not know may be on their way."""
    missing: bool = False
    """Only versions that the ledger does not know."""

    @property
    def listed(self) -> str:
        """The prefix to list in the bucket and the ledger."""
        return self.key or self.prefix or INCOMING

    def target(self) -> dict[str, Any]:
        """For hikyaku.operator_actions: what was asked for."""
        return {name: str(value) for name, value in asdict(self).items() if value}

    def of(self, pairs: Iterable[Pair], *, quiet: bool) -> Iterator[Step]:
        """The steps of the versions that are meant. One may depend on versions that are not.

        Args:
            pairs: bucket and ledger.
            quiet: whether the ingest queue is empty.
        """
        for pair in pairs:
            if not is_ours(pair.key) or (self.key and pair.key != self.key):
                continue
            for step in steps(pair, quiet=quiet):
                if self._means(step):
                    yield step

    def _means(self, step: Step) -> bool:
        version = step.version
        if self.version and version.version_id != self.version:
            return False
        if (self.since and version.modified < self.since) or (self.until and version.modified >= self.until):
            return False
        if step.status is not None:
            return not self.missing
        return self.before is None or version.modified < self.before
