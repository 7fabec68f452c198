"""The way to Redis, one for everything that connects: Celery, the lease, Flower, and the poller's own look at it."""

import ssl
from typing import Any, Self
from urllib.parse import urlsplit

from celery.app.amqp import AMQP
from kombu import Connection
from redis import Redis

from shared.settings import CommonSettings

RECONNECT_PAUSES_S = {"interval_start": 1, "interval_step": 1, "interval_max": 5}
"""Recovery is promised within 10 s of an outage's end, however long it was: kombu's own pauses grow to 30 s."""


class SteadyConnection(Connection):
    """Celery's connection, which looks for Redis again every few seconds."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Self:
        """As kombu's, with our pauses unless others are given."""
        super().ensure_connection(*args, **{**RECONNECT_PAUSES_S, **kwargs})
        return self


class SteadyAMQP(AMQP):
    """Makes Celery take it."""

    Connection = SteadyConnection


def tls(settings: CommonSettings) -> dict[str, Any]:
    """What redis-py wants to know for a rediss:// URL; nothing for redis://.

    Without it, kombu takes any certificate from any host ("defaulting to insecure SSL behaviour").
    """
    if urlsplit(settings.redis_url.get_secret_value()).scheme != "rediss":
        return {}
    wanted = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    return wanted if settings.redis_ca is None else {**wanted, "ssl_ca_certs": str(settings.redis_ca)}


def client(settings: CommonSettings) -> Redis:
    """A client whose every call ends soon, for looking whether Redis is there. It connects with its first call."""
    soon = settings.redis_connect_timeout
    return Redis.from_url(settings.redis_url.get_secret_value(), socket_timeout=soon, socket_connect_timeout=soon, **tls(settings))
