"""The evidence before an identity is retired."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hikyaku.operator import access, output
from hikyaku.operator.keys import evidence
from hikyaku.operator.keys.evidence import Stored, Use
from hikyaku.operator.keys.keyring import Key
from hikyaku.operator.settings import OperatorSettings
from hikyaku.printable import printable


def gather(settings: OperatorSettings, key: Key, days: int) -> dict[str, Any]:
    """What ledger and bucket say of an identity; it is written down with the action too.

    Args:
        settings: with database and bucket.
        key: the identity.
        days: which files count as recent.

    Raises:
        UserError: the ledger or the bucket can't be looked at.
    """
    since = datetime.now(UTC) - timedelta(days=days)
    with access.ledger(settings.database_url) as connection:
        use = evidence.uses(connection).get(key.name, Use())
        recent = evidence.recent(connection, key.name, since)
        stored = evidence.stored(connection, access.s3(), settings.bucket, key.name)
    return _told(key, days, use, recent, stored)


def _told(key: Key, days: int, use: Use, recent: list[str], stored: Stored) -> dict[str, Any]:
    return {
        "identity": key.name,
        "recipients": list(key.recipients),
        "days": days,
        "recent_files": len(recent),
        "recent_keys": recent[: evidence.MOST_NAMED],
        "last_used": use.last.isoformat() if use.last else None,
        "senders": list(use.senders),
        "stored_versions": stored.opened,
        "waiting_files": stored.waiting,
        "waiting_keys": stored.first,
    }


def show(told: dict[str, Any], *, as_json: bool) -> None:
    """For a person, or in one line for a program."""
    if as_json:
        output.json_line(told)
        return
    shown = {
        "identity": told["identity"],
        f"opened in {told['days']} days": told["recent_files"],
        "last used": told["last_used"],
        "senders whose last file it opened": ", ".join(told["senders"]) or "none",
        "versions in the bucket that only it opens": told["stored_versions"],
        "versions in the bucket not loaded yet": told["waiting_files"],
    }
    output.console().print(output.pairs(shown))
    for what, keys in (("opened", told["recent_keys"]), ("not loaded yet", told["waiting_keys"])):
        for key in keys:
            output.console().print(f"  {what}: {printable(key)}")
