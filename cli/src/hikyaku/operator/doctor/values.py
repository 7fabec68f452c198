"""Settings: is everything said, and does it fit together?"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from urllib.parse import urlsplit

from hikyaku.operator.doctor.finding import Finding, fail, ok, unknown, warn
from hikyaku.operator.doctor.scope import Scope
from hikyaku.operator.settings import OperatorSettings

NEEDED = {
    "bucket": "BucketName",
    "queue_url": "QueueUrl",
    "dlq_url": "DlqUrl",
}
"""With the output of aws/stack.yaml that each is."""
_STACK = "docker compose run --rm setup --stack hikyaku"


def unreadable(environment: Mapping[str, str]) -> dict[str, str]:
    """By variable, as HIKYAKU_DATABASE_URL_FILE: the file that it names and that can't be read."""
    named = {f"HIKYAKU_{field.name.upper()}_FILE" for field in fields(OperatorSettings)}
    return {name: path for name, path in environment.items() if name in named and path and not os.access(path, os.R_OK)}


def look(scope: Scope) -> Iterator[Finding]:
    """Each setting by itself, then together."""
    for name, path in unreadable(scope.environment).items():
        yield fail(
            f"{name}: {path} can't be read", "it counts as not set", "docker compose run --rm setup    # makes it, and mends its owner"
        )
    missing = [name for name in NEEDED if not getattr(scope.settings, name)]
    for name in missing:
        yield fail(f"HIKYAKU_{name.upper()} is not set", f"it is the stack's output {NEEDED[name]}; without it nothing finds it", _STACK)
    yield from _database(scope)
    yield from _region(scope)
    queue, dlq = scope.settings.queue_url, scope.settings.dlq_url
    if queue and queue == dlq:
        yield fail("HIKYAKU_QUEUE_URL and HIKYAKU_DLQ_URL are the same", "a rejected file would come round again for ever", _STACK)
    elif not missing:
        yield ok(f"bucket and queues are set, as are {_others(scope)}")


def _database(scope: Scope) -> Iterator[Finding]:
    url = scope.settings.database_url
    mend = "name a file with it: HIKYAKU_DATABASE_URL_FILE=secrets/operator/database_url"
    if not url:
        yield fail("HIKYAKU_DATABASE_URL is not set", "the ledger can't be read, and every command about files needs it", mend)
    elif urlsplit(url).scheme not in {"postgresql", "postgres"}:
        yield fail("HIKYAKU_DATABASE_URL is no postgresql:// URL", "the ledger can't be read", mend)
    elif not scope.settings.redis_url:
        why = "HIKYAKU_REDIS_URL is not set, and the operator has no user there; give an administrator's for a look"
        yield unknown("Redis is not looked at", why, "HIKYAKU_REDIS_URL=redis://… hikyaku doctor --only redis")


def _region(scope: Scope) -> Iterator[Finding]:
    region = scope.environment.get("AWS_REGION") or scope.environment.get("AWS_DEFAULT_REGION")
    if not region:
        yield fail("AWS_REGION is not set", "requests go to no region, or to a wrong one", "set it: AWS_REGION=ap-northeast-1 in .env")
        return
    host = urlsplit(scope.settings.queue_url).hostname or ""
    if host.endswith(".amazonaws.com") and f".{region}." not in host:
        yield warn(
            f"AWS_REGION is {region}, and the queue is at {host}",
            "its requests are signed for another region, and SQS refuses them",
            "set AWS_REGION to the queue's region in .env",
        )


def _others(scope: Scope) -> str:
    names = [field.name for field in fields(OperatorSettings) if field.name not in NEEDED and getattr(scope.settings, field.name)]
    return ", ".join(names) or "no others"
