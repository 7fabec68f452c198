"""Sweeps the spool, and where gpg's homes are, from the worker's own event loop: at its start and every few minutes."""

from typing import Any

from celery import bootsteps

from decryptor import spool
from decryptor.gnupg import Gnupg
from decryptor.settings import DecryptorSettings


def sweeper(settings: DecryptorSettings) -> type[bootsteps.StartStopStep]:
    """A consumer bootstep. A step rather than a timer set once, for Celery clears the timers when its connection is lost."""

    class Sweeper(bootsteps.StartStopStep):
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:
            sweep()
            parent.timer.call_repeatedly(settings.spool_sweep_interval, sweep)

    def sweep() -> None:
        spool.sweep(settings.spool_dir, settings.spool_max_age)
        Gnupg(settings.gnupg_dir).sweep()

    return Sweeper
