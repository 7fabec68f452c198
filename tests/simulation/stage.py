"""Puts the fakes in the places of the real things."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import structlog

import decryptor.tasks
import poller.pipeline
from fakes import targets
from fakes.broker import Chain
from shared import deadline, failpoint
from shared.datasets_file import DatasetsFile
from shared.errors import ErrorCode, Rejected
from simulation.files import CONFIGURATION
from simulation.world import World

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a random name within it


def _no_alarm(_seconds: float, _ring: Callable[[], None], **_: object) -> AbstractContextManager[None]:
    """In the place of the alarm, whose seconds are real ones."""
    return nullcontext()


def opened(source: Any, sink: Any, _keyring: Any) -> str:
    """In the place of age."""
    data = b""
    while piece := source.read(1 << 20):
        data += piece
    if data.startswith(b"!"):
        raise Rejected(ErrorCode.CIPHERTEXT_CORRUPT, "damaged")
    sink.write(data)
    return "2026"


class Stage:
    """Where worlds are built, thousands of them. Use it within `stage`."""

    def __init__(self, folder: Path) -> None:
        (folder / "datasets.toml").write_text(CONFIGURATION, encoding="utf-8")
        self._datasets = DatasetsFile(folder / "datasets.toml")
        self._spool = folder / "spool"
        self._spool.mkdir()

    def world(self) -> World:
        """A new one."""
        for path in self._spool.iterdir():
            path.unlink()
        world = World(self._spool, self._datasets)
        failpoint._switch.armed = world.between  # type: ignore[assignment]
        return world


@contextmanager
def stage() -> Iterator[Stage]:
    """Put the fakes in their places, once for all worlds."""
    before = structlog.get_config()
    with ExitStack() as stack:
        stack.enter_context(targets.replaced())
        stack.enter_context(mock.patch.object(decryptor.tasks, "decrypt", opened))
        stack.enter_context(mock.patch.object(poller.pipeline, "chain", Chain))
        stack.enter_context(mock.patch.object(deadline, "alarm", _no_alarm))
        stack.enter_context(mock.patch.object(failpoint._switch, "armed", None))
        stack.callback(structlog.configure, **before)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=False)
        # The spool is a tmpfs, here too: on a disk, it is a fifth of the time.
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None))
        yield Stage(Path(folder))
