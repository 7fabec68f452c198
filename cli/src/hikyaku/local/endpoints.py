"""`endpoints.env`: where everything of the running stack is, for tests, tools and shells (`set -a; . endpoints.env`)."""

import re
import shlex
from collections.abc import Mapping

from hikyaku.local import aws, identities, postgres, redis_server
from hikyaku.local.files import write_atomically
from hikyaku.local.layout import Layout
from hikyaku.local.program import NAMES
from hikyaku.local.state import State

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=,-]*")


def values(layout: Layout, state: State, outputs: aws.Outputs, pids: Mapping[str, int]) -> dict[str, str]:
    """Every name of the contract.

    Args:
        layout: paths.
        state: ports.
        outputs: what deploying the template gave.
        pids: main process by program; a program without one is left out, so that nobody signals a stranger.
    """
    ports = state.ports
    admin = redis_server.password(layout, redis_server.ADMIN)
    return {
        **aws.public(layout, ports["localstack"]),
        "HIKYAKU_BUCKET": outputs.bucket,
        "HIKYAKU_QUEUE_URL": outputs.queue_url,
        "HIKYAKU_DLQ_URL": outputs.dlq_url,
        "HIKYAKU_DATABASE_URL": postgres.url_of(layout, postgres.OWNER, ports["postgres"]),
        "HIKYAKU_REDIS_URL": redis_server.url(redis_server.ADMIN, admin, ports["redis"]),
        "HIKYAKU_FLOWER_URL": flower_url(layout, ports["flower"]),
        "HIKYAKU_RECIPIENT": identities.recipient(layout),
        "HIKYAKU_DATASETS": str(layout.datasets),
        "HIKYAKU_PAUSE_FILE": str(layout.pause),
        **{f"HIKYAKU_PID_{name.upper()}": str(pids[name]) for name in NAMES if name in pids},
    }


def flower_url(layout: Layout, port: int) -> str:
    """Flower with its login, ready for a browser."""
    return f"http://{identities.flower_login(layout)}@127.0.0.1:{port}"


def render(pairs: Mapping[str, str]) -> str:
    """Lines of KEY=VALUE, quoted for a shell only where that is needed."""
    return "".join(f"{name}={quote(value)}\n" for name, value in pairs.items())


def quote(value: str) -> str:
    """The value as a POSIX shell reads it back."""
    return value if _PLAIN.fullmatch(value) else shlex.quote(value)


def write(layout: Layout, state: State, outputs: aws.Outputs, pids: Mapping[str, int]) -> bool:
    """Rewrite the file in one step if anything changed.

    Returns:
        Whether it did.
    """
    return write_atomically(layout.endpoints, render(values(layout, state, outputs, pids)))
