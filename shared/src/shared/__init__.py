"""What the services have in common: names, payloads, errors, settings, logging, health. No service imports another."""

import os

# SIGTERM as Celery's cold shutdown after a soft one (Workers Guide, "Soft shutdown"): otherwise a worker waits for its tasks without end.
# Celery's process pool reads this once, when it is imported: so it stands before every import of Celery.
os.environ["REMAP_SIGTERM"] = "SIGQUIT"
