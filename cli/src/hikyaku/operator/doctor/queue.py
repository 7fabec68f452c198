"""The ingest queue and its dead-letter queue."""

import json
from collections.abc import Iterator

from botocore.exceptions import ClientError

from hikyaku.operator.doctor.finding import Finding, fail, ok, warn
from hikyaku.operator.doctor.scope import Scope, code

GONE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
LONG_POLL_S = 20
FEW_RECEIVES = 5
RETENTION_S = 4 * 86400
RETENTION_BEST_S = 14 * 86400
_STACK = "put the stack's outputs into .env: docker compose run --rm setup --stack hikyaku"


def ingest(scope: Scope) -> Iterator[Finding]:
    """Its attributes, each against what the line counts on."""
    attributes = _attributes(scope, "queue_url")
    if isinstance(attributes, Finding):
        yield attributes
        return
    url = scope.need("queue_url")
    yield from _visibility(scope, int(attributes["VisibilityTimeout"]), url)
    yield from _redrive(attributes, url)
    yield from _common(attributes, url, "the ingest queue")
    if int(attributes.get("ReceiveMessageWaitTimeSeconds", 0)) < LONG_POLL_S:
        why = "who receives without a wait of his own asks all the time, and pays for each answer; the poller has its own wait"
        yield warn("the queue's long poll is shorter than 20 s", why, _set(url, f"ReceiveMessageWaitTimeSeconds={LONG_POLL_S}"))


def dead_letters(scope: Scope) -> Iterator[Finding]:
    """Who may send files there, and how long they stay."""
    attributes = _attributes(scope, "dlq_url")
    if isinstance(attributes, Finding):
        yield attributes
        return
    url = scope.need("dlq_url")
    yield from _common(attributes, url, "the dead-letter queue")
    allow = json.loads(attributes.get("RedriveAllowPolicy", "{}"))
    source = scope.queue()["QueueArn"]
    permission = allow.get("redrivePermission", "allowAll")
    if permission == "denyAll" or (permission == "byQueue" and source not in allow.get("sourceQueueArns", [])):
        why = "what fails again and again stays in the ingest queue, and is received for 14 days"
        yield fail("the dead-letter queue takes nothing of the ingest queue (redrive allow policy)", why, _allow(url, source))
    elif permission == "allowAll":
        yield warn("any queue may use the dead-letter queue (no redrive allow policy)", "others' letters among ours", _allow(url, source))
    if waiting := int(attributes.get("ApproximateNumberOfMessages", 0)):
        yield warn(
            f"{waiting} messages are in the dead-letter queue",
            "files that were not loaded",
            "docs/runbook.md; SELECT * FROM hikyaku.file_history",
        )


def _attributes(scope: Scope, which: str) -> dict[str, str] | Finding:
    try:
        return scope.queue(which)
    except ClientError as error:
        if code(error) not in GONE:
            raise
        name = scope.need(which).rpartition("/")[2]
        why = "nothing is received" if which == "queue_url" else "a rejected file can't be put aside, and comes round again"
        return fail(f"there is no queue {name}", why, _STACK)


def _visibility(scope: Scope, seconds: int, url: str) -> Iterator[Finding]:
    ours = scope.number("HIKYAKU_VISIBILITY_TIMEOUT", "poller", 120)
    deadline = scope.number("HIKYAKU_TASK_DEADLINE", "poller", 600)
    mend = _set(url, f"VisibilityTimeout={ours}")
    if seconds < ours // 3:
        why = f"the poller extends it every {ours // 3} s at most (HIKYAKU_VISIBILITY_TIMEOUT={ours}): a message is handed out twice before"
        yield fail(f"the queue's visibility timeout is {seconds} s", why, mend)
    elif seconds < ours:
        yield warn(
            f"the queue's visibility timeout is {seconds} s, the poller's {ours} s", "the first extension has less time than planned", mend
        )
    elif seconds > max(deadline, ours):
        why = f"a crash goes unnoticed for so long, longer than a task may last (HIKYAKU_TASK_DEADLINE={deadline})"
        yield warn(f"the queue's visibility timeout is {seconds} s", why, mend)
    else:
        yield ok(f"visibility timeout {seconds} s, the poller's {ours} s, deadline {deadline} s")


def _redrive(attributes: dict[str, str], url: str) -> Iterator[Finding]:
    redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
    policy = '{"RedrivePolicy":"{\\"deadLetterTargetArn\\":\\"DLQ_ARN\\",\\"maxReceiveCount\\":\\"10\\"}"}'
    mend = f"aws sqs set-queue-attributes --queue-url {url} --attributes '{policy}'"
    if not redrive:
        why = "a message that kills whoever takes it comes back for ever"
        yield fail("the ingest queue has no redrive policy", why, mend)
    elif int(redrive.get("maxReceiveCount", 0)) < FEW_RECEIVES:
        why = "each death of a poller costs every message that it holds a receive: good files end in the dead-letter queue"
        yield warn(f"maxReceiveCount is {redrive['maxReceiveCount']}", why, mend)
    else:
        yield ok(f"after {redrive['maxReceiveCount']} receives SQS puts a message aside")


def _common(attributes: dict[str, str], url: str, whose: str) -> Iterator[Finding]:
    if not attributes.get("KmsMasterKeyId"):
        managed = attributes.get("SqsManagedSseEnabled") == "true"
        what = f"{whose} is encrypted with SQS's own key" if managed else f"{whose} is not encrypted"
        why = "messages name files and senders, and the key's policy should say who reads them"
        yield (warn if managed else fail)(what, why, _set(url, "KmsMasterKeyId=KEY_ARN"))
    seconds = int(attributes.get("MessageRetentionPeriod", 0))
    mend = _set(url, f"MessageRetentionPeriod={RETENTION_BEST_S}")
    why = "an outage that lasts longer loses the news of every file that came in it"
    if seconds < RETENTION_BEST_S:
        yield (fail if seconds < RETENTION_S else warn)(f"{whose} keeps messages for {seconds / 86400:.3g} days, not 14", why, mend)
    else:
        yield ok(f"{whose} keeps messages for 14 days")


def _set(url: str, attributes: str) -> str:
    return f"aws sqs set-queue-attributes --queue-url {url} --attributes {attributes}"


def _allow(url: str, source: str) -> str:
    policy = f'{{"RedriveAllowPolicy":"{{\\"redrivePermission\\":\\"byQueue\\",\\"sourceQueueArns\\":[\\"{source}\\"]}}"}}'
    return f"aws sqs set-queue-attributes --queue-url {url} --attributes '{policy}'"
