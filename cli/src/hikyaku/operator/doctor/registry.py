"""Every check, by area. Each is made by itself: one that can't be made is told as unknown, and stops no other."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import psycopg

from hikyaku.errors import UserError
from hikyaku.operator.access import AWS_ERRORS
from hikyaku.operator.doctor import (
    broker,
    bucket,
    clock,
    database,
    datasets,
    flower,
    identity,
    keyring,
    kms,
    permissions,
    queue,
    rule,
    signers,
    spool,
    timeouts,
    values,
    versions,
)
from hikyaku.operator.doctor.finding import CantLookError, Finding, unknown
from hikyaku.operator.doctor.scope import Scope


@dataclass(frozen=True, slots=True)
class Check:
    """One look.

    Attributes:
        area: to which `--only` refers.
        about: what is looked at, as in "the bucket's policy".
        look: yields what is found.
    """

    area: str
    about: str
    look: Callable[[Scope], Iterable[Finding]]


CHECKS = (
    Check("settings", "the settings", values.look),
    Check("settings", "the services' time limits", timeouts.look),
    Check("clock", "AWS's clock", clock.aws),
    Check("clock", "PostgreSQL's clock", clock.database),
    Check("aws", "who AWS takes this for", identity.caller),
    Check("aws", "the age of the access keys", identity.access_keys),
    Check("aws", "the permissions", permissions.look),
    Check("bucket", "the bucket", bucket.exists),
    Check("bucket", "the bucket's versions", bucket.versioning),
    Check("bucket", "the bucket's encryption", bucket.encryption),
    Check("bucket", "the bucket's events", bucket.events),
    Check("bucket", "the bucket's public access block", bucket.public_access),
    Check("bucket", "the bucket's policy", bucket.policy),
    Check("queue", "the ingest queue", queue.ingest),
    Check("queue", "the dead-letter queue", queue.dead_letters),
    Check("queue", "the EventBridge rule", rule.look),
    Check("kms", "the KMS key", kms.look),
    Check("database", "PostgreSQL", database.server),
    Check("database", "PostgreSQL's settings", database.settings),
    Check("database", "the roles", database.roles),
    Check("database", "the migrations", database.migrations),
    Check("database", "the privileges in the ledger", database.privileges),
    Check("database", "the datasets' tables", datasets.look),
    Check("redis", "Redis", broker.server),
    Check("redis", "Redis's users", broker.users),
    Check("redis", "Redis's ACL file", broker.acl_file),
    Check("spool", "where the spool lies", spool.place),
    Check("spool", "the spool's size", spool.size),
    Check("keys", "the keyring", keyring.identities),
    Check("keys", "the secrets' owners and modes", keyring.secrets),
    Check("keys", "the recipients in use", keyring.recipients),
    Check("keys", "the senders' keys", signers.look),
    Check("flower", "Flower", flower.look),
    Check("versions", "the versions", versions.look),
)
AREAS = tuple(dict.fromkeys(check.area for check in CHECKS))


def run(scope: Scope, areas: Collection[str] = ()) -> Iterator[Finding]:
    """Make the checks.

    Args:
        scope: what to look at.
        areas: only these; all when empty.
    """
    for check in CHECKS:
        if not areas or check.area in areas:
            yield from (replace(finding, area=check.area) for finding in _made(check, scope))


def _made(check: Check, scope: Scope) -> list[Finding]:
    try:
        return list(check.look(scope))
    except UserError as error:
        return [unknown(f"{check.about}: can't be looked at", error.message, error.hint)]
    except AWS_ERRORS as error:
        return [unknown(f"{check.about}: can't be looked at", f"AWS: {error}")]
    except (CantLookError, OSError, psycopg.Error) as error:
        return [unknown(f"{check.about}: can't be looked at", str(error).partition("\n")[0])]
