"""`python -m poller`: drains the ingest queue until SIGTERM or SIGINT."""

import os
import signal
import sys
from types import FrameType

from poller import metrics
from poller.app import bootstrap
from poller.settings import PollerSettings
from poller.threads import Rounds
from shared import failpoint, logging
from shared.confine import confine
from shared.settings import load


def main() -> int:
    """Run the poller; 0 after a clean stop, 1 when a thread died, 2 for wrong settings."""
    confine()
    settings = load(PollerSettings)
    logging.configure("poller", settings.instance, settings.log_format, settings.log_level)
    failpoint.arm(os.environ)
    poller = bootstrap(settings)
    rounds = Rounds(poller, settings)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        rounds.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with metrics.serving(poller.courier.metrics, settings):
        return 0 if rounds.run(settings.drain_timeout) else 1


if __name__ == "__main__":
    sys.exit(main())
