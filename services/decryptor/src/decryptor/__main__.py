"""`python -m decryptor`: a Celery worker whose main process is this very process, until SIGTERM."""

import os
import sys

from decryptor.app import build_app
from decryptor.settings import DecryptorSettings
from shared import celery_app, failpoint, logging
from shared.confine import confine
from shared.settings import load

OWNER_ONLY = 0o077


def main() -> int:
    """Run the worker until it is told to stop: 0. 1 when Celery gave up, 2 for wrong settings."""
    os.umask(OWNER_ONLY)
    confine()
    settings = load(DecryptorSettings)
    logging.configure("decryptor", settings.instance, settings.log_format, settings.log_level)
    failpoint.arm(os.environ)
    app = build_app(settings)
    return celery_app.run_worker(app, "decryptor", settings)


if __name__ == "__main__":
    sys.exit(main())
