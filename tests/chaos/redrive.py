"""After the storm: the cause of one rejection is mended, and the dead-letter queue is redriven. That file loads, exactly once."""

from dataclasses import replace

from psycopg import sql

from chaos import referee
from chaos.files import MENDED
from chaos.model import Finding, Harm, Judge
from chaos.sender import Sent
from chaos.stack import GaveUpError, Stack, eventually

WITHIN_S = 60.0


def redrive(stack: Stack, sent: list[Sent]) -> list[Finding]:
    """Redrive everything: the mended file must load once, and all others be where they belong. Returns what is wrong."""
    with stack.database() as connection:
        connection.execute(sql.SQL("ALTER TABLE {} ADD COLUMN note text").format(sql.Identifier("public", MENDED.name)))
    _move(stack)
    sound = [replace(s, file=replace(s.file, damage=None)) if s.file.dataset == MENDED else s for s in sent]
    [mended] = [s for s in sound if s.file.dataset == MENDED]
    try:
        eventually(lambda: _status(stack, mended) == "loaded", "the mended file is loaded", WITHIN_S)
    except GaveUpError as error:
        return [Finding(Harm.REDRIVE, mended.file.number, f"{error}; it is {_status(stack, mended)}")]
    found = Judge(sound, referee.settle(stack, sound, WITHIN_S).observed).judge()
    return [replace(finding, harm=Harm.REDRIVE, story=f"after the redrive: {finding.harm}: {finding.story}") for finding in found]


def _move(stack: Stack) -> None:
    """A message that was sent to the queue, rather than moved there by SQS, moves only with an explicit destination."""
    deployed, sqs = stack.deployed(), stack.client("sqs")
    sqs.start_message_move_task(SourceArn=deployed["dlq_arn"], DestinationArn=deployed["queue_arn"])

    def moved() -> bool:
        [task, *_] = sqs.list_message_move_tasks(SourceArn=deployed["dlq_arn"])["Results"]
        return bool(task["Status"] == "COMPLETED")

    eventually(moved, "the dead letters are moved", WITHIN_S)


def _status(stack: Stack, sent: Sent) -> str:
    entry = referee.ledger(stack).get((sent.file.key, sent.version_id))
    return entry.status if entry else "nowhere"
