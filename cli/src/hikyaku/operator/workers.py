"""Which workers answer over Redis. The operator has no Redis user of its own: they are asked only where HIKYAKU_REDIS_URL is given."""

from dataclasses import dataclass
from importlib.util import find_spec

PATIENCE_S = 1.0
"""All of it is waited: nobody knows how many will answer. A worker's main process does so within milliseconds."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Names of those that answered, as loader@instance; `unknown` says why nobody was asked."""

    unknown: str = ""
    answered: tuple[str, ...] = ()


def ask(url: str) -> Workers:
    """Ping all workers; nothing else.

    Args:
        url: of Redis; "" where it is not given.
    """
    if not url:
        return Workers(unknown="HIKYAKU_REDIS_URL is not set")
    if not find_spec("celery") or not find_spec("poller"):
        return Workers(unknown="what asks them is installed with hikyaku[local] only")
    from pydantic import ValidationError  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415 - these come with the extra `local` only

    from poller.pipeline import BROKER_ERRORS  # noqa: PLC0415
    from shared import celery_app  # noqa: PLC0415
    from shared.settings import CommonSettings  # noqa: PLC0415

    try:
        settings = CommonSettings.model_validate({"redis_url": url, "instance": "operator", "redis_socket_timeout": 5})
        app = celery_app.build(celery_app.FLOWER, settings)
        replies = app.control.broadcast("ping", reply=True, timeout=PATIENCE_S) or ()
    except ValidationError:
        return Workers(unknown="HIKYAKU_REDIS_URL is no redis:// URL")
    except (*BROKER_ERRORS, RedisError) as error:
        return Workers(unknown=f"Redis does not answer: {type(error).__name__}")
    return Workers(answered=tuple(sorted(name for reply in replies for name in reply)))
