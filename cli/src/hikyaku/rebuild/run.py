"""One rebuild, from the look at what there is to the comparison."""

import datetime as dt
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rich.progress import Progress

from hikyaku.errors import UserError
from hikyaku.operator import access, action
from hikyaku.operator.settings import adopt_endpoints
from hikyaku.rebuild import history, shadow, target
from hikyaku.rebuild.history import History, Scope
from hikyaku.rebuild.replay import RebuildDatasets, replay
from hikyaku.rebuild.settings import RebuildSettings
from hikyaku.rebuild.target import Difference, Name
from shared import logging
from shared.datasets import DatasetsError
from shared.protocol import FileStatus
from shared.settings import load

NAMED_MOST = 5


@dataclass(frozen=True, slots=True)
class Result:
    """What a rebuild came to."""

    dataset: str
    into: str
    live: str
    as_of: dt.datetime | None
    files: Counter[FileStatus]
    gone: tuple[str, ...]
    difference: Difference

    def is_fine(self) -> bool:
        """Whether all that was loaded is there again. With --as-of the tables are meant to differ."""
        same = self.as_of is not None or not (self.difference.only_live or self.difference.only_rebuilt)
        return same and not self.gone and not self.files[FileStatus.REJECTED]

    def as_json(self) -> dict[str, Any]:
        """For a person and for programs."""
        return {
            "dataset": self.dataset,
            "table": self.into,
            "compared_with": self.live,
            "as_of": self.as_of,
            **{f"files_{status}": count for status, count in sorted(self.files.items())},
            "files_no_longer_in_the_bucket": len(self.gone),
            "rows": self.difference.rows,
            "rows_only_in_it": self.difference.only_rebuilt,
            "rows_only_in_the_live_table": self.difference.only_live,
            "fine": self.is_fine(),
        }


@dataclass(frozen=True, slots=True)
class Rebuild:
    """What is to be done."""

    settings: RebuildSettings
    datasets: RebuildDatasets
    dataset: str
    into: Name
    live: Name
    as_of: dt.datetime | None
    history: History

    @classmethod
    def prepare(cls, dataset: str, into: str, as_of: dt.datetime | None, spool: Path) -> Self:
        """Read the settings, and look at the bucket and the ledger; nothing is changed.

        Raises:
            UserError: one of them can't be read, or there is nothing to replay.
        """
        os.environ.setdefault("HIKYAKU_SPOOL_DIR", str(spool))
        adopt_endpoints(os.environ)
        settings = load(RebuildSettings)
        logging.configure("rebuild", settings.instance, settings.log_format, os.environ.get("HIKYAKU_LOG_LEVEL") or "ERROR")
        name = Name.parse(into)
        try:
            datasets = RebuildDatasets(settings, dataset, f"{name.schema}.{name.table}")
        except DatasetsError as error:
            raise UserError(f"HIKYAKU_DATASETS: {error}", exit_code=2) from None
        live = datasets.live_table()
        if live == name:
            raise UserError(f"--into {into} is the dataset's own table", hint="Name a new one: it is made.", exit_code=2)
        with access.ledger(settings.database_url.get_secret_value()) as connection:
            found = history.read(access.s3(), connection, Scope(settings.bucket, datasets.current(), dataset, as_of))
        if not found.versions:
            raise UserError(f"the bucket has no file of dataset {dataset}" + (" from before that time" if as_of else ""))
        return cls(settings, datasets, dataset, name, live, as_of, found)

    def plan(self) -> list[str]:
        """What would be done, for a person, in lines."""
        unknown = sum(not version.is_known for version in self.history.versions)
        lines = [f"{len(self.history.versions):,} file versions of {self.dataset}, as {self.live} got them, go into {self.into}."]
        if unknown:
            lines.append(f"The ledger does not know {unknown:,} of them: they are taken in the order in which S3 stored them.")
        if self.history.gone:
            named = ", ".join(self.history.gone[:NAMED_MOST]) + (", …" if len(self.history.gone) > NAMED_MOST else "")
            lines.append(f"No longer in the bucket, so their rows will lack: {len(self.history.gone):,} ({named}).")
        return lines

    def run(self, progress: Progress, *, replace: bool, reason: str) -> Result:
        """Make the table and fill it.

        Raises:
            UserError: it could not be done.
        """
        url = self.settings.database_url.get_secret_value()
        about = {"dataset": self.dataset, "into": str(self.into), "as_of": str(self.as_of or ""), "versions": len(self.history.versions)}
        with action.written_down(url, "rebuild", about, reason) as noted, access.ledger(url) as connection:
            connection.autocommit = True
            target.make(connection, self.into, self.live, replace=replace)
            ends = self._fill(connection, progress)
            target.comment(connection, self.into, f"dataset {self.dataset}" + (f" as of {self.as_of.isoformat()}" if self.as_of else ""))
            difference = target.compare(connection, self.into, self.live)
            noted.outcome = f"done: {sum(ends.values())} file versions, {difference.rows} rows"
        return Result(self.dataset, str(self.into), str(self.live), self.as_of, ends, self.history.gone, difference)

    def _fill(self, connection: target.Connection, progress: Progress) -> Counter[FileStatus]:
        bar = progress.add_task(f"rebuild {self.into}", total=len(self.history.versions))
        with shadow.ledger(connection, str(self.into)) as schema:
            return replay(self.settings, self.datasets, schema, self.history.versions, lambda _: progress.advance(bar))
