"""The decryptor's one task: each file of a parcel into the spool, or a reason why not."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from structlog.stdlib import BoundLogger

from decryptor import caps, part, spool, verify
from decryptor.decrypt import Sink, decrypt
from decryptor.download import S3, Download, Source, fetch
from decryptor.keyring import Keyring
from decryptor.openpgp import OpenPgp
from decryptor.part import PartRejected
from decryptor.sender import Senders, Word, is_openpgp
from shared import deadline, keys, losses, protocol
from shared.contract import Decrypted, DecryptedParcel, FileRef, Parcel, Problem
from shared.errors import CourierError, ErrorCode, Rejected, Retryable
from shared.failpoint import Point, failpoint
from shared.logging import get_logger


@dataclass(frozen=True, slots=True)
class Bench:
    """What the work is done with."""

    s3: Callable[[], S3]
    """This process's client; made at the first call, so after the fork."""
    keyring: Keyring
    spool_dir: Path
    senders: Senders
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    timeout: float = 300.0
    """Seconds for an empty file."""
    admit: Callable[[FileRef], None] = caps.anything
    """Raises Rejected for a file that is not to be fetched at all."""
    openpgp: OpenPgp | None = None
    """Opens OpenPGP files; without, they are refused."""


def decrypt_parcel(bench: Bench, data: dict[str, Any], lost: int = 0) -> dict[str, Any]:
    """The task: a dumped `Parcel` in, a dumped `DecryptedParcel` out. Expected failures are outcomes; bugs surface.

    Args:
        bench: what the work is done with.
        data: the parcel.
        lost: how many worker processes it has cost so far.
    """
    parcel = Parcel.read(data)
    hopeless = parcel.problem or losses.verdict(parcel.files, lost)
    may_look = lost <= losses.TRIES
    items = tuple(_given_up(bench, file, hopeless, may_look) if hopeless else decrypt_item(bench, file) for file in parcel.files)
    for file in parcel.files:
        failpoint(Point.DECRYPTOR_RETURNING, file.key)
    return DecryptedParcel(parcel_id=parcel.parcel_id, items=items).dump()


def _given_up(bench: Bench, file: FileRef, problem: Problem, may_look: bool) -> Decrypted:
    log = get_logger().bind(action="decrypt", file=file.file_id, message_id=file.message_id)
    log.warning("retry" if problem.retry else "reject", key=file.key, error_code=problem.error_code, reason=problem.message)
    found, word = (file, Word()) if problem.retry or not may_look else _look(bench, file, read=True)
    return Decrypted(file=found, signer=word.signer, declared=word.declared, problem=problem)


def _look(bench: Bench, file: FileRef, *, read: bool) -> tuple[FileRef, Word]:
    """What a group may be told of a file that nobody decrypts. Of a file that can't be looked at, nothing."""
    try:
        with deadline.alarm(protocol.allowance(file.size, bench.timeout), _too_slow):
            return part.look(bench.s3(), bench.senders, file, bench.sleep, read=read)
    except CourierError as error:
        get_logger().info("unknown_part", action="decrypt", file=file.file_id, error_code=error.error_code, reason=error.message)
        return file, Word()


def decrypt_item(bench: Bench, file: FileRef) -> Decrypted:
    """What became of one file, logged; with a problem there is nothing in the spool."""
    log = get_logger().bind(action="decrypt", file=file.file_id, message_id=file.message_id)
    started = bench.clock()
    found = file
    try:
        log = log.bind(dataset=keys.route(file.key).dataset)
        log.info("start", key=file.key, size=file.size, attempt=file.attempt)
        failpoint(Point.DECRYPTOR_TAKEN, file.key)
        _admit(bench, file)
        with deadline.alarm(protocol.allowance(file.size, bench.timeout), _too_slow):
            download = fetch(bench.s3(), file, bench.sleep)
            found = download.file
            item = decrypt_file(bench, download, file)
    except CourierError as error:
        _log_problem(log, error, bench.clock() - started)
        word = error.word if isinstance(error, PartRejected) else Word()
        return Decrypted(file=found, signer=word.signer, declared=word.declared, problem=Problem.of(error))
    log.info("success", duration_s=round(bench.clock() - started, 3), identity=item.recipient_identity, signer=item.signer)
    return item


def decrypt_file(bench: Bench, download: Download, event: FileRef) -> Decrypted:
    """Verify and decrypt what is being downloaded, and publish it in the spool.

    Raises:
        Rejected: this version of the object will never do.
        Retryable: storage, spool or keyring are not in order.
    """
    with closing(download.body):
        failpoint(Point.DECRYPTOR_DOWNLOADING, event.key)
        verify.announced(download, event)
        word = bench.senders.word(download)
        verify.stated(word.manifest, download)
        if word.signer:
            get_logger().info("signed", action="decrypt", file=event.file_id, signer=word.signer, key=word.key)
        source = Source(download.body)
        with spool.attempt(bench.spool_dir, download.file.file_id) as attempt:
            try:
                identity, vouched = _open(bench, source, attempt, download.file, word)
            except Rejected as rejection:
                raise part.of_its_group(rejection, source, download, word) from None
            source.drain()
            verify.received(source, download, word.manifest)
            failpoint(Point.DECRYPTOR_WRITTEN, event.key)
            attempt.publish()
            failpoint(Point.DECRYPTOR_PUBLISHED, event.key)
    return Decrypted(
        file=download.file, sha256=source.sha256.hex(), signer=vouched.signer, recipient_identity=identity, declared=vouched.declared
    )


def _open(bench: Bench, source: Source, sink: Sink, file: FileRef, word: Word) -> tuple[str, Word]:
    """Decrypt all of it. Returns what opened it, and what is stated of it."""
    if not is_openpgp(file):
        return decrypt(source, sink, bench.keyring), word
    if bench.openpgp is None:
        raise Rejected(ErrorCode.OPENPGP_INVALID, "this decryptor opens no OpenPGP files: encrypt with age")
    identity, vouched = bench.openpgp.open(source, sink, file, word)
    if vouched.signer and not word.signer:
        get_logger().info("signed", action="decrypt", file=file.file_id, signer=vouched.signer, key=vouched.key)
    return identity, vouched


def _too_slow() -> NoReturn:
    """Not an OSError: among the bytes of a body that would be taken for a damaged file."""
    raise Retryable(ErrorCode.TIMEOUT, "download and decryption took longer than HIKYAKU_DECRYPT_TIMEOUT allows for its size")


def _admit(bench: Bench, file: FileRef) -> None:
    try:
        bench.admit(file)
    except Rejected as rejection:
        # Not read: of what has the size that its sender stated, all bytes are too many.
        raise PartRejected(rejection, _look(bench, file, read=False)[1]) from None


def _log_problem(log: BoundLogger, error: CourierError, duration: float) -> None:
    event = "retry" if isinstance(error, Retryable) else "reject"
    log.warning(event, error_code=error.error_code, reason=error.message, duration_s=round(duration, 3))
