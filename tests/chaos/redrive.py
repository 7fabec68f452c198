"""After the storm: the cause of one rejection is mended, and the dead-letter queue is redriven. That file loads, exactly once."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from chaos import referee
from chaos.files import MENDED
from chaos.model import Finding, Harm, Judge
from chaos.sender import Sent
from chaos.stack import GaveUpError, Stack, eventually

WITHIN_S = 60.0
PER_LETTER_S = 1.0
"""On top, for each message that was moved: LocalStack keeps its count of receives, so the poller sends each file alone. The line does
about 20 a second then, and 4 where others want the machine too."""


def redrive(stack: Stack, sent: list[Sent]) -> list[Finding]:
    """Redrive everything: the mended file must load once, and all others be where they belong. Returns what is wrong."""
    eventually(lambda: _mended(stack), "the table has its column")
    sound = [replace(s, file=replace(s.file, damage=None)) if s.file.dataset == MENDED else s for s in sent]
    [mended] = [s for s in sound if s.file.dataset == MENDED]
    try:
        within = bound_s(_move(stack))
        eventually(lambda: _status(stack, mended) == "loaded", "the mended file is loaded", within)
    except GaveUpError as error:
        return [Finding(Harm.REDRIVE, mended.file.number, f"{error}; it is {_status(stack, mended)}")]
    found = Judge(sound, referee.settle(stack, sound, within).observed).judge()
    return [replace(finding, harm=Harm.REDRIVE, story=f"after the redrive: {finding.harm}: {finding.story}") for finding in found]


def _mended(stack: Stack) -> bool:
    """Whether PostgreSQL took it: a busy machine may let it answer too late."""
    with suppress(psycopg.OperationalError), stack.database() as connection:
        connection.execute(sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS note text").format(sql.Identifier("public", MENDED.name)))
        return True
    return False


def bound_s(letters: int) -> float:
    """Seconds that these dead letters may take on their second way. One that is done sooner is waited for no longer."""
    return WITHIN_S + letters * PER_LETTER_S


def _move(stack: Stack) -> int:
    """Have SQS move all dead letters; returns how many. Those that were sent there, not moved by SQS, move only with a destination.

    Raises:
        GaveUpError: SQS did not move them.
    """
    deployed, sqs = stack.deployed(), stack.client("sqs")
    within = bound_s(len(stack.dead_letters()))
    sqs.start_message_move_task(SourceArn=deployed["dlq_arn"], DestinationArn=deployed["queue_arn"])

    def ended() -> dict[str, Any] | None:
        [task, *_] = sqs.list_message_move_tasks(SourceArn=deployed["dlq_arn"])["Results"]
        return None if task["Status"] == "RUNNING" else task

    task = eventually(ended, "the dead letters are moved", within)
    if task["Status"] != "COMPLETED":
        raise GaveUpError(f"moving the dead letters ended as {task['Status']}: {task.get('FailureReason')}")
    return int(task["ApproximateNumberOfMessagesMoved"])


def _status(stack: Stack, sent: Sent) -> str:
    with suppress(psycopg.OperationalError):
        entry = referee.ledger(stack).get((sent.file.key, sent.version_id))
        return entry.status if entry else "nowhere"
    return "not to be seen"
