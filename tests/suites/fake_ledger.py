"""The ledger suite's bench over the fake."""

import gzip
from pathlib import Path
from typing import Any, cast

from fakes.postgres import FakeDatabase, FakePostgres, Table
from loader.loading import Loader
from shared import spool
from shared.contract import Declared, Decrypted, FileRef, Problem, Settlement
from shared.datasets_file import DatasetsFile
from suites.ledger import CONFIGURATION, LEDGER, TABLES, Told


class FakeBench:
    """A loader over a fresh fake. Use it within `fakes.targets.replaced`."""

    def __init__(self, folder: Path) -> None:
        (folder / "datasets.toml").write_text(CONFIGURATION, encoding="utf-8")
        self._spool = folder
        self.server = FakePostgres()
        self.server.tables = {f"public.{name}": Table(("id", "v"), int(name == "stock")) for name in TABLES}
        self.loader = Loader(cast("Any", FakeDatabase(self.server)), DatasetsFile(folder / "datasets.toml"), folder, "fake")

    def settle(self, file: FileRef, content: str | None, declared: Declared | None, problem: Problem | None) -> Settlement:
        if content is not None:
            spool.published(self._spool, file.file_id).write_bytes(gzip.compress(content.encode(), 1))
        return self.loader.settle(Decrypted(file=file, sha256="ab" * 32, signer="acme", declared=declared, problem=problem))

    def ledger(self) -> list[Told]:
        return sorted(tuple(row[name] for name in LEDGER) for row in self.server.files.values())

    def rows(self, table: str) -> list[tuple[str, str]]:
        return sorted((row[0], row[1]) for row in self.server.tables[f"public.{table}"].rows)

    def marks(self) -> list[tuple[str, str, str]]:
        return sorted((dataset, *mark) for dataset, mark in self.server.marks.items())
