"""Versions: this command's beside those of the loaders that wrote the ledger lately."""

from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version

from hikyaku.operator.doctor.finding import Finding, ok, unknown, warn
from hikyaku.operator.doctor.scope import Scope

LATELY = timedelta(days=7)
_LOADERS = (
    "SELECT loader, max(updated_at) AS last FROM hikyaku.files WHERE loader IS NOT NULL AND updated_at > %s GROUP BY loader ORDER BY loader"
)


def look(scope: Scope) -> Iterator[Finding]:
    """`instance version` in the ledger's column `loader`."""
    ours = version("hikyaku")
    with scope.ledger() as connection:
        rows = connection.execute(_LOADERS, [scope.now() - LATELY]).fetchall()
    if not rows:
        yield unknown("the loader's version is not known", f"no loader wrote the ledger in the last {LATELY.days} days")
        return
    newest: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row["last"]):
        instance, _, theirs = str(row["loader"]).rpartition(" ")
        newest[instance] = theirs
    others = {instance: theirs for instance, theirs in newest.items() if theirs != ours}
    for instance, theirs in others.items():
        yield warn(
            f"the loader {instance} is {theirs}, this command {ours}",
            "one of them was not upgraded, and may ask for what the other lacks",
            "docs/operations.md#upgrade",
        )
    if not others:
        yield ok(f"loader and command are {ours}")
