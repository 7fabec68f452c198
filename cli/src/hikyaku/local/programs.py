"""The programs of the stack: what is run, with which environment, and how it is stopped."""

import sys
from collections.abc import Mapping

from hikyaku.local import aws, environment, postgres, redis_server
from hikyaku.local.layout import Layout
from hikyaku.local.program import Program, health_file
from hikyaku.local.state import State

RECEIVE_WAIT_S = "2"
"""Long polling of the local poller: SIGTERM waits for a receive under way."""
MEMORY = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""As in docker-compose.yml: glibc gives memory back, so that a service does not keep what its largest file took (mallopt(3))."""


def backends(layout: Layout, state: State, caller: Mapping[str, str]) -> list[Program]:
    """PostgreSQL, Redis and LocalStack."""
    base = environment.base(caller)
    data = str(postgres.data(layout))
    return [
        Program(
            name="postgres",
            argv=(str(postgres.executable("postgres")), "-D", data),
            env=base,
            identity=state.postgres_as,
            data=data,
        ),
        Program(
            name="redis",
            argv=(str(redis_server.executable()), str(layout.redis / "redis.conf")),
            env=base,
        ),
        Program(
            name="localstack",
            argv=aws.command(layout),
            env={**base, **aws.server_environment(layout, state.ports["localstack"])},
        ),
    ]


def line(layout: Layout, state: State, outputs: aws.Outputs, caller: Mapping[str, str]) -> list[Program]:
    """Poller, decryptor, loader and Flower, each with its own credentials only."""
    return [
        _service(layout, caller, "poller", _poller(layout, state, outputs, caller)),
        _service(layout, caller, "decryptor", _decryptor(layout, state, caller)),
        _service(layout, caller, "loader", _loader(layout)),
        _service(layout, caller, "flower", _flower(layout, state), module="shared.flower"),
    ]


def _service(
    layout: Layout,
    caller: Mapping[str, str],
    name: str,
    own: Mapping[str, str],
    *,
    module: str = "",
) -> Program:
    common = {
        "HIKYAKU_REDIS_URL_FILE": str(layout.secret("redis", f"{name}.url")),
        "HIKYAKU_HEALTH_FILE": str(health_file(layout, name)),
        "PYTHONUNBUFFERED": "1",
        **MEMORY,
    }
    env = {**environment.base(caller), **_spool(layout, caller), **environment.settings(caller), **common, **own}
    return Program(name=name, argv=(sys.executable, "-m", module or name), env=env)


def _spool(layout: Layout, caller: Mapping[str, str]) -> dict[str, str]:
    """The caller's own, or else a folder of this stack, which lies on a disk: its files are tests and demos."""
    return {} if "HIKYAKU_SPOOL_DIR" in caller else {"HIKYAKU_SPOOL_DIR": str(layout.spool), "HIKYAKU_SPOOL_ON_DISK": "allow"}


def _poller(layout: Layout, state: State, outputs: aws.Outputs, caller: Mapping[str, str]) -> dict[str, str]:
    return {
        **aws.client_environment(layout, state.ports["localstack"], "poller"),
        "HIKYAKU_QUEUE_URL": outputs.queue_url,
        "HIKYAKU_DLQ_URL": outputs.dlq_url,
        "HIKYAKU_BUCKET": outputs.bucket,
        "HIKYAKU_PAUSE_FILE": str(layout.pause),
        "HIKYAKU_RECEIVE_WAIT": caller.get("HIKYAKU_RECEIVE_WAIT", RECEIVE_WAIT_S),
    }


def _decryptor(layout: Layout, state: State, caller: Mapping[str, str]) -> dict[str, str]:
    return {
        **aws.client_environment(layout, state.ports["localstack"], "decryptor"),
        "HIKYAKU_IDENTITIES_DIR": str(layout.identities),
        "HIKYAKU_RECEIPT_KEY_FILE": str(layout.receipt_key),
        "HIKYAKU_DATASETS": str(layout.datasets),
        "HIKYAKU_ALLOWED_SIGNERS": caller.get("HIKYAKU_ALLOWED_SIGNERS", str(layout.allowed_signers)),
        "HIKYAKU_OPENPGP_SENDERS": caller.get("HIKYAKU_OPENPGP_SENDERS", str(layout.openpgp_senders)),
    }


def _loader(layout: Layout) -> dict[str, str]:
    return {
        "HIKYAKU_DATABASE_URL_FILE": str(layout.secret("postgres", "hikyaku_loader.url")),
        "HIKYAKU_DATASETS": str(layout.datasets),
    }


def _flower(layout: Layout, state: State) -> dict[str, str]:
    return {
        "HIKYAKU_FLOWER_ADDRESS": "127.0.0.1",
        "HIKYAKU_FLOWER_PORT": str(state.ports["flower"]),
        "HIKYAKU_FLOWER_AUTH_FILE": str(layout.secret("flower.login")),
    }
