"""`python -m loader`: the loader's Celery worker, as this very process."""

import os
import sys

from loader.app import build_app
from loader.settings import LoaderSettings
from shared import failpoint, logging
from shared.celery_app import run_worker
from shared.confine import confine
from shared.settings import load


def main() -> int:
    """Run until told to stop: 0. 1 when Celery gave up, 2 for wrong settings."""
    confine()
    settings = load(LoaderSettings)
    logging.configure("loader", settings.instance, settings.log_format, settings.log_level)
    failpoint.arm(os.environ)
    return run_worker(build_app(settings), "loader", settings)


if __name__ == "__main__":
    sys.exit(main())
