"""The world on a laptop, LocalStack in AWS's place: what it needs besides, and how it is told from a production host."""

from collections.abc import Mapping

from hikyaku.errors import UserError
from hikyaku.setup import dotenv
from hikyaku.setup.datasets import DATASETS

REGION = "ap-northeast-1"
ACCOUNT = "000000000000"
"""LocalStack's only one."""
ENDPOINT = "http://localstack:4566"
# What aws/stack.yaml makes of its parameters' defaults.
AWS = {
    "HIKYAKU_BUCKET": f"hikyaku-{ACCOUNT}-{REGION}",
    "HIKYAKU_QUEUE_URL": f"{ENDPOINT}/{ACCOUNT}/hikyaku-ingest",
    "HIKYAKU_DLQ_URL": f"{ENDPOINT}/{ACCOUNT}/hikyaku-ingest-dlq",
}
SETTINGS = "settings.env"
ENDPOINTS = "operator/endpoints.env"
MARK = f"poller/{SETTINGS}"
"""Written before any secret: with the laptop's queue in it, it tells a laptop's world from its first moment."""
_LOGS = {"HIKYAKU_LOG_FORMAT": "console"}


def settings() -> dict[str, str]:
    """Settings of the services, by path."""
    return {
        MARK: _render({**_LOGS, **AWS}),
        **{f"{service}/{SETTINGS}": _render(_LOGS) for service in ("decryptor", "loader", "flower")},
    }


def endpoints(owners_url: str, recipient: str) -> str:
    """endpoints.env, for the `cli` container."""
    return _render(
        {
            "AWS_ENDPOINT_URL": ENDPOINT,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            **AWS,
            "HIKYAKU_DATABASE_URL": owners_url,
            "HIKYAKU_RECIPIENT": recipient,
            "HIKYAKU_DATASETS": "/etc/hikyaku/datasets.toml",
            "HIKYAKU_FLOWER_URL": "http://127.0.0.1:5555",
        }
    )


def datasets(demo: str) -> str:
    """datasets.toml with the demo's datasets."""
    return f"{DATASETS}\n{demo}"


def is_laptop(found: Mapping[str, str]) -> bool:
    """Whether these secrets (content by path) are a laptop's."""
    queue = dotenv.parse(found.get(MARK, "")).get("HIKYAKU_QUEUE_URL", "")
    return ENDPOINTS in found or queue == AWS["HIKYAKU_QUEUE_URL"]


def refuse_laptop(found: Mapping[str, str]) -> None:
    """Stop before a production host is made of a laptop's world."""
    if is_laptop(found):
        hint = "Use another folder for production. If nothing here is worth keeping, stop the stack and remove the folder of the secrets."
        raise UserError("This is a laptop's world, made by `hikyaku setup --local`: its keys were never meant for production.", hint=hint)


def refuse_production(found: Mapping[str, str], env: Mapping[str, str]) -> None:
    """Stop before a laptop's world is made of a production host, whose AWS credentials LocalStack's would replace."""
    bucket = env.get("HIKYAKU_BUCKET")
    if bucket and bucket != AWS["HIKYAKU_BUCKET"]:
        reason = f".env names the bucket {bucket}"
    elif found and not is_laptop(found):
        reason = f"secrets/{min(found)} was not made by `hikyaku setup --local`"
    else:
        return
    raise UserError(f"This is no laptop's world: {reason}.", hint="Use another folder (a fresh clone) for trying things out.")


def _render(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())
