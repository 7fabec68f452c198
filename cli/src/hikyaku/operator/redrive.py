"""`hikyaku dlq redrive`: messages go back to the ingest queue, so that their files are tried again."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hikyaku.errors import UserError
from hikyaku.operator import access, action, chosen, letters, output
from hikyaku.operator.letters import Letter
from hikyaku.operator.settings import OperatorSettings

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

PATIENCE_S = 60.0
"""For which a move by SQS is watched. It goes on without us."""
LOOK_AGAIN_S = 0.5
ENDED = {"COMPLETED", "FAILED", "CANCELLED"}


def redrive(
    names: chosen.Names = None,
    *,
    error_code: chosen.Code = None,
    everything: chosen.All = False,
    reason: action.Reason = "",
    dry_run: action.DryRun = False,
    yes: action.Yes = False,
) -> None:
    """Send messages back to the ingest queue, so that their files are tried again. Mend first what was wrong.

    Cut short at any moment, no message is lost; one may come twice, which the ledger sees.

    Example: hikyaku dlq redrive --error-code columns_mismatch --reason "the column is there now"
    """
    choice = chosen.Choice.of(names, error_code, everything=everything)
    settings = OperatorSettings.read("database_url", "queue_url", "dlq_url")
    with access.told("the dead-letter queue can't be redriven"):
        client = access.sqs()
        found = choice.of_these(letters.look(client, settings.dlq_url))
        if not action.is_wanted(chosen.question("Redrive", found), yes=yes, dry_run=dry_run):
            return
        with action.written_down(settings.database_url, "dlq redrive", choice.target(found), reason) as done:
            sent = move_all(client, settings) if everything else move(client, settings, found)
            done.outcome = f"done: {sent}"
    output.note(f"Redrive: {sent}.")


def move(client: "SQSClient", settings: OperatorSettings, wanted: Iterable[Letter]) -> str:
    """Send these, each before it is deleted: killed in between, it comes twice, which is harmless.

    Args:
        client: of SQS.
        settings: both queues.
        wanted: as a look found them; those that are gone meanwhile are left alone.

    Returns:
        What was done, in words.
    """

    def send(letter: Letter) -> None:
        client.send_message(QueueUrl=settings.queue_url, MessageBody=letter.body)

    return f"{letters.worked_off(client, settings.dlq_url, wanted, before=send)} sent"


def move_all(client: "SQSClient", settings: OperatorSettings) -> str:
    """Have SQS move everything.

    The destination is named: without one SQS would look for the queue that a message was dead-lettered from, which those that the poller
    handed over do not have (SQS API Reference, StartMessageMoveTask).

    Raises:
        UserError: the move failed.
    """
    source = _arn(client, settings.dlq_url)
    client.start_message_move_task(SourceArn=source, DestinationArn=_arn(client, settings.queue_url))
    end = time.monotonic() + PATIENCE_S
    while True:
        task = client.list_message_move_tasks(SourceArn=source, MaxResults=1)["Results"][0]
        status, moved = task.get("Status", ""), task.get("ApproximateNumberOfMessagesMoved", 0)
        if status in ENDED or time.monotonic() > end:
            break
        time.sleep(LOOK_AGAIN_S)
    if status in ENDED - {"COMPLETED"}:
        raise UserError(f"SQS moved {moved} messages and then gave up: {task.get('FailureReason', status)}")
    return f"about {moved} messages moved" + ("" if status in ENDED else ", and SQS goes on")


def _arn(client: "SQSClient", url: str) -> str:
    return client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
