"""Clock skew: AWS's and PostgreSQL's clock beside this machine's."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from botocore.exceptions import ClientError

from hikyaku.operator.doctor.finding import CantLookError, Finding, fail, ok, warn
from hikyaku.operator.doctor.scope import Scope, code

WARN_S = 5
FAIL_S = 120
"""AWS refuses what was signed 5 minutes ago, S3 after 15; a clock that is off so far drifts further."""
SKEWED = {"RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException"}
WHY = "AWS refuses requests that are signed at a time 5 minutes off; times in the ledger and limits of keys go by it too"
MEND = "timedatectl set-ntp true    # then: timedatectl timesync-status, or chronyc tracking"


def aws(scope: Scope) -> Iterator[Finding]:
    """The Date of an answer, whichever answer it is: it is told to the second."""
    before = scope.now()
    try:
        answer = scope.aws("sts").get_caller_identity()
    except ClientError as error:
        answer = error.response
        if code(error) in SKEWED:
            yield fail("AWS refuses this machine's requests for their time", WHY, MEND)
    said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not said:
        raise CantLookError("AWS's answer has no Date")
    yield compared("AWS", parsedate_to_datetime(said).astimezone(UTC), before, scope.now(), grain_s=1)


def database(scope: Scope) -> Iterator[Finding]:
    """PostgreSQL's clock_timestamp()."""
    with scope.ledger() as connection:
        before = scope.now()
        [row] = connection.execute("SELECT clock_timestamp() AS now").fetchall()
        yield compared("PostgreSQL", row["now"], before, scope.now())


def compared(whose: str, theirs: datetime, before: datetime, after: datetime, *, grain_s: float = 0) -> Finding:
    """Their clock beside ours, read before and after.

    Args:
        whose: clock.
        theirs: its time.
        before: ours when we asked.
        after: ours when the answer was there.
        grain_s: what their time is rounded down to, in seconds.
    """
    low, high = (before - theirs).total_seconds() - grain_s, (after - theirs).total_seconds()
    off = max(low, -high, 0)
    if off <= WARN_S:
        return ok(f"{whose}'s clock is ours")
    ahead = "ahead of" if low > 0 else "behind"
    what = f"this machine's clock is {off:.0f} s {ahead} {whose}'s"
    return (fail if off > FAIL_S else warn)(what, WHY, MEND)
