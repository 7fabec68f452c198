"""Writes all that the programs of the stack read when they start."""

from collections.abc import Mapping

from hikyaku.local import configuration, files, identities, postgres, programs, redis_server
from hikyaku.local.layout import Layout
from hikyaku.local.program import write
from hikyaku.local.state import State
from hikyaku.setup.datasets import DATASETS


def make_folders(layout: Layout) -> None:
    """The folders that only the stack's owner may enter."""
    for folder in (layout.logs, layout.run, layout.secrets, layout.identities, layout.spool):
        files.private_directory(folder)


def prepare(layout: Layout, state: State, caller: Mapping[str, str]) -> None:
    """Secrets, configurations, and how each server starts. What is there already stays as it is."""
    identities.recipient(layout)
    identities.flower_login(layout)
    identities.write_receipt_signers(layout)
    if not layout.datasets.exists():
        files.write_atomically(layout.datasets, DATASETS)
    redis_server.prepare(layout, state.ports["redis"])
    postgres.prepare(layout, state.ports["postgres"], state.postgres_as)
    for program in programs.backends(layout, state, caller):
        write(layout, program)
    text = configuration.render(layout, state, configuration.password(layout))
    files.write_atomically(layout.run / "supervisord.conf", text)
