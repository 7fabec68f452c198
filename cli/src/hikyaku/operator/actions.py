"""`hikyaku actions`: what operators did."""

from hikyaku.operator import access, action, output
from hikyaku.operator.files import Json, Most
from hikyaku.operator.settings import OperatorSettings

COLUMNS = ("action_id", "began_at", "ended_at", "who", "host", "action", "reason", "outcome")


def actions(*, limit: Most = 20, as_json: Json = False) -> None:
    """List what operators changed, newest first; one without an outcome was cut short.

    Example: hikyaku actions --limit 50
    """
    with access.ledger(OperatorSettings.read("database_url").database_url) as connection:
        found = action.listed(connection, limit)
    if as_json:
        for row in found:
            output.json_line(row)
        return
    output.console().print(output.table([name.replace("_", " ") for name in COLUMNS], [[row[name] for name in COLUMNS] for row in found]))
