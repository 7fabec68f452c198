"""The way to Redis, one for everything that connects: Celery, the lease, Flower, and the poller's own look at it."""

import ssl
from typing import Any, Self
from urllib.parse import urlsplit

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.transport import virtual
from kombu.transport.redis import Channel, QoS, Transport
from redis import Redis

from shared.settings import CommonSettings

RECONNECT_PAUSES_S = {"interval_start": 1, "interval_step": 1, "interval_max": 5}
"""Recovery is promised within 10 s of an outage's end, however long it was: kombu's own pauses grow to 30 s."""


class SteadyQoS(QoS):
    """Kombu's note of what is not acknowledged, which lets go of a message also when Redis does not hear that.

    Kombu's own raises before it lets go, its caller logs that and goes on, and the message counts as being worked on for ever. With
    a prefetch of one the consumer then takes no other, never reads its connection again, and so never finds out that it is dead: a
    poller that is deaf to every settlement, a worker with one slot less (seen with kombu 5.7). Redis hands the message out again
    after the transport's visibility timeout: that is what the ledger is for.
    """

    def ack(self, delivery_tag: str) -> None:
        """As kombu's."""
        try:
            super().ack(delivery_tag)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """As kombu's."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise


class SteadyChannel(Channel):
    """Makes kombu take it."""

    QoS = SteadyQoS


class SteadyTransport(Transport):
    """Makes kombu take that."""

    Channel = SteadyChannel


class SteadyConnection(Connection):
    """Celery's connection, which looks for Redis again every few seconds, and over which no message is stuck."""

    def get_transport_cls(self) -> type[Any]:
        """As kombu's, with our channel."""
        found: type[Any] = super().get_transport_cls()
        return SteadyTransport if found is Transport else found

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
