"""One run: batch after batch, a good file behind each, and what all of it did to the services."""

import time
from collections.abc import Iterator
from random import Random

from botocore.exceptions import ClientError
from line import Line, Put
from rich.console import Console

from hostile import ciphertexts, events, findings, memory, names, openpgp, seen, stage, tables
from hostile.case import WITHOUT_ROW, Batch, Case, Subject
from hostile.good import Good
from hostile.manifests import Desk
from hostile.openpgp import Post
from hostile.result import Result, Verdict
from hostile.seen import Sent
from hostile.waiting import BOUND_S, within
from shared.printable import printable

SHORT = 8
"""Cases of each batch in a short run."""
AT_ONCE = 20
"""Of those, so many are sent at once."""


def run(line: Line, random: Random, console: Console, *, short: bool, only: str = "") -> Result:
    """Send everything, or the batches of whose names `only` is a part, to a stack that nobody else uses."""
    desk, result = stage.prepare(line), Result()
    with openpgp.post(line) as post:
        if post is None:
            console.print("OpenPGP is left out: gpg is not installed")
        good = Good(line, desk, post)
        good.warm_up()
        result.before, started = memory.resident(line), memory.processes(line)
        for name, cases in _batches(line, desk, random, good, post, short=short):
            if only in name:
                chosen = random.sample(cases, min(SHORT, len(cases))) if short else cases
                took = _play(line, name, chosen, result)
                result.batches.append((name, len(chosen), took, good.arrive(result.findings)))
                console.print(f"{name}: {len(chosen)} in {took:.1f} s", soft_wrap=True)
    result.after, result.peaks = memory.resident(line), memory.peaks(line)
    result.findings += [
        *findings.wrong(result),
        *findings.died(started, memory.processes(line)),
        *findings.grown(result),
        *findings.swollen(result),
        *findings.logs(line),
        *findings.left_by_gpg(line),
    ]
    return result


def _batches(line: Line, desk: Desk, random: Random, good: Good, post: Post | None, *, short: bool) -> Iterator[Batch]:
    recipient, sealed, dataset = line.world.recipient, good.sealed, stage.DATASET
    yield "age vectors", ciphertexts.vectors(dataset)
    yield "damaged ciphertext", ciphertexts.damaged(dataset, recipient, random)
    yield "bombs", ciphertexts.bombs(stage.SMALL, recipient)
    yield "malformed CSV", tables.cases(recipient)
    yield "manifests", desk.cases(sealed)
    yield "names", names.put(dataset, sealed)
    yield "folders", names.datasets(dataset, sealed)
    yield "look-alikes", names.look_alike()
    absent = names.absent(dataset)
    absent = random.sample(absent, SHORT) if short else absent
    yield from ((f"absent objects {n + 1}", absent[n * AT_ONCE : (n + 1) * AT_ONCE]) for n in range(-(-len(absent) // AT_ONCE)))
    yield "forged events", events.forged(dataset)
    yield "lies", events.lies(dataset, sealed)
    if post is not None:
        yield "OpenPGP messages", openpgp.messages(dataset, post, recipient)
        yield "OpenPGP senders", openpgp.senders(stage.SIGNED, post, desk)


def _play(line: Line, name: str, cases: list[Case], result: Result) -> float:
    """Send a batch, wait until nothing of it is in the main queue, and note what became of it; seconds."""
    sent = _send(line, cases)
    began = time.monotonic()
    versions = [each.version for each, case in zip(sent, cases, strict=True) if case.expected not in WITHOUT_ROW]

    def is_settled() -> bool:
        return len(seen.rows(line, versions)) == len(set(versions)) and line.messages(line.queue_url) == 0

    if not within(BOUND_S, is_settled):
        result.findings.append(f"{name}: {line.messages(line.queue_url)} messages are in the main queue after {BOUND_S:.0f} s")
    took = time.monotonic() - began
    rows, letters, ignored = seen.rows(line, versions), seen.letters(line), seen.ignored(line)
    for case, each in zip(cases, sent, strict=True):
        row = rows.get(each.version)
        error = (row and row["error"]) or ""
        if printable(error) != error:
            result.findings.append(f"{case.name}: the ledger's error could steer a terminal: {error!r}")
        result.verdicts.append(Verdict(name, case, seen.judge(each, row, letters, ignored), error))
    line.purge_dead_letters()
    return took


def _send(line: Line, cases: list[Case]) -> list[Sent]:
    """Objects whose event is forged are put while S3 announces nothing."""
    subjects = {}
    if any(case.content is not None and case.message for case in cases):
        with line.silence():
            subjects = {case.name: _put(line, case) for case in cases if case.content is not None and case.message}
    sent = []
    for case in cases:
        if case.message is None:
            sent.append(Sent(_put(line, case).version_id))
            continue
        put = subjects.get(case.name)
        subject = Subject(line.bucket, put.key, put.version_id, put.etag, put.size) if put else Subject(line.bucket, case.key, case.version)
        body = case.message(subject)
        sent.append(Sent(seen.version_of(body), body, _message(line, body)))
    return sent


def _put(line: Line, case: Case) -> Put:
    return stage.put(line, case.key, case.content or b"", case.metadata)


def _message(line: Line, body: str) -> str:
    try:
        return str(line.sqs.send_message(QueueUrl=line.queue_url, MessageBody=body)["MessageId"])
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"InvalidParameterValue", "InvalidMessageContents"}:
            raise
        return ""
