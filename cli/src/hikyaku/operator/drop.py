"""`hikyaku dlq drop`: messages that nobody needs any more."""

from hikyaku.operator import access, action, chosen, letters, output
from hikyaku.operator.settings import OperatorSettings


def drop(
    names: chosen.Names = None,
    *,
    error_code: chosen.Code = None,
    everything: chosen.All = False,
    reason: action.Reason = "",
    dry_run: action.DryRun = False,
    yes: action.Yes = False,
) -> None:
    """Delete messages of the dead-letter queue. The objects stay in S3, the ledger keeps their fate, `hikyaku retry` still tries them.

    Example: hikyaku dlq drop orders/broken.csv.gz.age --reason "was sent again, corrected"
    """
    choice = chosen.Choice.of(names, error_code, everything=everything)
    settings = OperatorSettings.read("database_url", "dlq_url")
    with access.told("the dead-letter queue can't be worked off"):
        client = access.sqs()
        found = choice.of_these(letters.look(client, settings.dlq_url))
        if not action.is_wanted(chosen.question("Drop", found), yes=yes, dry_run=dry_run):
            return
        with action.written_down(settings.database_url, "dlq drop", choice.target(found), reason) as done:
            dropped = f"{letters.worked_off(client, settings.dlq_url, found)} dropped"
            done.outcome = f"done: {dropped}"
    output.note(f"{dropped}.")
