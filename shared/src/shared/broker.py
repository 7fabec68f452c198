"""The way to Redis, one for everything that connects: Celery, the lease, Flower, and the poller's own look at it."""

import ssl
from typing import Any
from urllib.parse import urlsplit

from redis import Redis

from shared.settings import CommonSettings

CONNECT_TIMEOUT_S = 5


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
    return Redis.from_url(
        settings.redis_url.get_secret_value(), socket_timeout=CONNECT_TIMEOUT_S, socket_connect_timeout=CONNECT_TIMEOUT_S, **tls(settings)
    )
