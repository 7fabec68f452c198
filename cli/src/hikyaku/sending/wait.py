"""Waits for the receipt of what was sent, and tells the courier's way."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from hikyaku.errors import UserError
from hikyaku.sending.courier import Sent
from hikyaku.sending.receipt import Receipt, Slip, verify

FIRST_S = 0.1
SLOWEST_S = 5.0
GROWTH = 1.15
"""Ten looks in the first two seconds, then fewer and fewer."""
REJECTED = 3
STAGED = "staged"
MEANS = {
    "duplicate": "the same content was loaded before, so nothing changed",
    "superseded": "a newer version of it was loaded first",
    "tested": "a dry run at the host, nothing was loaded",
}


class Receipts(Protocol):
    """Where receipts are fetched from."""

    def get(self, key: str) -> Slip | None:
        """The receipt of a key, if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long to wait for receipts, and whose to believe.

    Attributes:
        receipts: where they are.
        timeout_s: seconds for each file.
        signers: allowed_signers with the host's receipt key; None believes what is in the bucket.
        clock: monotonic seconds.
        pause: waits that many seconds.
    """

    receipts: Receipts
    timeout_s: float
    signers: Path | None = None
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    def for_file(self, parts: Sequence[Sent], bucket: str) -> Receipt:
        """The receipt of a file that was sent; of no other version.

        Args:
            parts: the one object that it went as, or all of its group: one of them tells the fate of all.
            bucket: where they are.

        Raises:
            UserError: it did not come in time, or is not to be believed.
        """
        deadline, open_ = self.clock() + self.timeout_s, list(parts)
        for interval in _intervals():
            # Which part came last, nobody here knows: the others' receipts say `staged`, and are not asked for again.
            for sent in reversed(open_.copy()):
                found = self._of(sent, bucket)
                if found is not None and found.status != STAGED:
                    return found
                if found is not None and len(open_) > 1:
                    open_.remove(sent)
            left = deadline - self.clock()
            if left <= 0:
                break
            self.pause(min(interval, left))
        hint = "It was sent, and may still be loaded. May your credentials read receipts/? Does the dataset issue them?"
        raise UserError(f"no receipt for {parts[0].name} within {self.timeout_s:g} s", hint=hint)

    def _of(self, sent: Sent, bucket: str) -> Receipt | None:
        slip = self.receipts.get(sent.key)
        if slip is None:
            return None
        found = slip.read()
        if not _is_of(found, sent, bucket):
            return None
        if self.signers is not None:
            verify(slip, self.signers)
        return found


def _intervals() -> Iterator[float]:
    interval = FIRST_S
    while True:
        yield interval
        interval = min(interval * GROWTH, SLOWEST_S)


def _is_of(found: Receipt, sent: Sent, bucket: str) -> bool:
    if (found.bucket, found.key) != (bucket, sent.key):
        return False
    # age never makes the same ciphertext twice, so its hash tells versions apart where S3 does not.
    return found.version_id == sent.version_id if sent.version_id else found.sha256 == sent.sealed.sha256


def story(found: Receipt, name: str, sent_at: datetime) -> str:
    """The courier's way in one line."""
    rows = ", ".join(f"{count:,} {what}" for what, count in found.rows if count)
    told = MEANS.get(found.status) or rows
    back = f"; the rejected ones come back in s3://{found.bucket}/{found.rejects}" if found.rejects else ""
    way = [("sent", sent_at), ("received", found.received_at), (found.status, found.committed_at)]
    times = " → ".join(f"{what} {_clock(when)}" for what, when in way if when)
    return f"{found.status} {name}{f': {told}' if told else ''}{back}; {times}"


def _clock(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3] + "Z"


def refusal(found: Receipt, name: str) -> UserError | None:
    """What to end with where the file was not taken."""
    if found.status == "superseded":
        return UserError(f"{name} was not loaded: {MEANS['superseded']}.", hint="Send it again, if it is what the table should hold.")
    if found.status != "rejected":
        return None
    lines = f" (lines {', '.join(map(str, found.bad_lines))})" if found.bad_lines else ""
    what = f"{name} was rejected: {found.error_code}: {found.error or 'the host gives no reason'}{lines}"
    return UserError(what, hint="Nothing of it is in the table. Mend it and send it again.", exit_code=REJECTED)
