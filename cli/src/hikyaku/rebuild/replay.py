"""Carrying versions once more: the decryptor's and the loader's own code, without queue and broker."""

from collections import Counter
from collections.abc import Callable, Iterable

from decryptor.app import build_bench
from decryptor.tasks import Bench, decrypt_item
from hikyaku.errors import UserError
from hikyaku.rebuild.history import Version
from hikyaku.rebuild.settings import RebuildSettings
from hikyaku.rebuild.shadow import ShadowDatabase
from hikyaku.rebuild.target import Name
from loader.loading import Loader
from shared.contract import Settlement
from shared.datasets import Dataset, Datasets
from shared.datasets_file import DatasetsFile
from shared.protocol import FileStatus

TRIES = 3
"""For a file that a passing trouble keeps from being loaded."""
NAME = "hikyaku rebuild"


class RebuildDatasets(DatasetsFile):
    """datasets.toml as it was at the start, but for the one dataset's table.

    Args:
        settings: for the file's path.
        name: of the dataset.
        table: as datasets.toml would name it.
    """

    def __init__(self, settings: RebuildSettings, name: str, table: str) -> None:
        super().__init__(settings.datasets)
        live = super().current()
        self._live = Name(*live.named(name).target)
        self._rebuilt = _Retargeted(live, name, table)

    def current(self) -> Datasets:
        """What holds for the whole rebuild."""
        return self._rebuilt

    def live_table(self) -> Name:
        """Where the dataset's files go else."""
        return self._live


class _Retargeted(Datasets):
    def __init__(self, live: Datasets, name: str, table: str) -> None:
        super().__init__(live._defaults, live.entries, live._places)  # noqa: SLF001 - a copy of it
        self._name, self._table = name, table

    def of(self, key: str) -> Dataset:
        found = super().of(key)
        return found.model_copy(update={"table": self._table}) if found.name == self._name else found


def replay(
    settings: RebuildSettings, datasets: RebuildDatasets, schema: str, versions: Iterable[Version], done: Callable[[Version], None]
) -> Counter[FileStatus]:
    """Load versions one after the other.

    Args:
        settings: of the rebuild.
        datasets: aimed at the new table.
        schema: of the rebuild's own ledger.
        versions: in order.
        done: called after each.

    Returns:
        How many files came to which end.

    Raises:
        UserError: one could not be loaded for a passing trouble.
    """
    bench = build_bench(settings)
    url = settings.database_url.get_secret_value()
    loader = Loader(
        ShadowDatabase(url, schema, settings.lock_timeout, settings.statement_timeout), datasets, settings.spool_dir, settings.instance
    )
    ends: Counter[FileStatus] = Counter()
    for version in versions:
        ends[_carried(bench, loader, version)] += 1
        done(version)
    return ends


def _carried(bench: Bench, loader: Loader, version: Version) -> FileStatus:
    for _ in range(TRIES):
        settled: Settlement = loader.settle(decrypt_item(bench, version.file))
        if settled.status is not FileStatus.FAILED:
            return FileStatus(settled.status)
    hint = "Nothing was changed but the new table, which is not complete. Mend it, and run the same with --replace."
    raise UserError(f"{version.file.key} ({version.file.version_id}): {settled.error_code}: {settled.error}", hint=hint)
