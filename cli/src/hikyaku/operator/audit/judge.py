"""What one key's versions and rows amount to."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from hikyaku.operator.audit.finding import Finding, Kind, Report, replay, undelete
from hikyaku.operator.inventory.bucket import Marker, Version, is_ours
from hikyaku.operator.inventory.matching import Pair, Row
from hikyaku.operator.inventory.queues import Letters

IN_TABLE = ("loaded", "duplicate")
"""Whose content is in the table."""
IN_TROUBLE = ("rejected", "failed")
OF_ITS_GROUP = "group_rejected"
"""A part that waited when its group was rejected: its message was done with before; the part that came last has the letter."""
EXPIRED_GROUP = "group_expired"
SEND_AGAIN = "have the sender send it again"
KEEP = "keep"


@dataclass(frozen=True)
class Judge:
    """Everything that a verdict on a key depends on.

    Attributes:
        bucket: name.
        now: when the audit began.
        grace: for which a file may be on its way.
        since: older versions and rows are left out.
        kept_for: for which the bucket keeps versions that a newer one replaced.
        letters: of the dead-letter queue.
        queue_is_empty: nothing waits in the ingest queue or is in flight.
        after_load: what a dataset wants done with the object of a file that it has loaded.
    """

    bucket: str
    now: dt.datetime
    grace: dt.timedelta
    since: dt.datetime
    kept_for: dt.timedelta
    letters: Letters
    queue_is_empty: bool
    after_load: Callable[[str | None], str]

    def look(self, pair: Pair, report: Report) -> None:
        """Put what is found of one key into the report."""
        good = max((row.event_time for row in pair.rows if row.status in IN_TABLE), default=None)
        for version in pair.shelf.versions:
            if version.modified >= self.since:
                self._version(version, pair.row(version), good, report)
        gone = pair.rowless()
        for row in pair.rows:
            if row.event_time >= self.since:
                report.counts[f"ledger_{row.status}"] += 1
        for row in gone:
            if row.event_time >= self.since:
                self._gone(row, pair, good, report)
        if pair.shelf.marker is not None and pair.shelf.versions:
            self._deleted(pair.shelf.marker, pair, report)

    def _version(self, version: Version, row: Row | None, good: dt.datetime | None, report: Report) -> None:
        report.counts["versions"] += 1
        if row is not None:
            self._trouble(row, good, report, there=True)
        elif not is_ours(version.key):
            report.counts["not_ours"] += 1
        elif version.modified > self.now - self.grace:
            report.counts["on_its_way"] += 1
        else:
            where = ", its message is in the dead-letter queue" if self.letters.hold(version.key, version.names) else ""
            what = f"in the bucket since {version.modified:%Y-%m-%d %H:%M:%S %Z}, and the ledger has no row of it{where}"
            report.add(Finding(Kind.NEVER_LOADED, version.key, what, replay(version.key, version.version_id), version.version_id))

    def _trouble(self, row: Row, good: dt.datetime | None, report: Report, *, there: bool) -> None:
        if row.status not in IN_TROUBLE or row.error_code == OF_ITS_GROUP or self._may_be_under_way(row):
            return
        if self.letters.hold(row.key, (row.version_id,)):
            report.counts["in_dead_letter_queue"] += 1
        elif good is not None and good >= row.event_time:
            report.counts["corrected_since"] += 1
        elif self.letters.is_complete:
            can_replay = there and row.error_code != EXPIRED_GROUP
            mend = replay(row.key, row.version_id) if can_replay else SEND_AGAIN
            what = f"{row.status} with {row.error_code}, and no message of it is in the dead-letter queue"
            report.add(Finding(Kind.NO_LETTER, row.key, what, mend, row.version_id))

    def _may_be_under_way(self, row: Row) -> bool:
        if row.updated_at > self.now - self.grace:
            return True
        # The main queue can't be looked into: whoever receives from it takes from the poller.
        return row.status == "failed" and not self.queue_is_empty

    def _gone(self, row: Row, pair: Pair, good: dt.datetime | None, report: Report) -> None:
        if row.status not in IN_TABLE:
            self._trouble(row, good, report, there=False)
        elif self.after_load(row.dataset) != KEEP:
            report.counts["removed_after_load"] += 1
        elif self._has_expired(row, pair):
            report.counts["expired"] += 1
        else:
            what = f"{row.status}, and this version is not in the bucket: deleted, or expired by a lifecycle rule"
            mend = "find out who deleted it (CloudTrail: DeleteObject); its rows stay as they are"
            report.add(Finding(Kind.GONE, row.key, what, mend, row.version_id))

    def _has_expired(self, row: Row, pair: Pair) -> bool:
        """Whether the bucket let it go as it should: it was replaced, and its time is over."""
        newer = bool(pair.shelf.versions) or any(each.event_time > row.event_time for each in pair.rows)
        return newer and row.event_time < self.now - self.kept_for

    def _deleted(self, marker: Marker, pair: Pair, report: Report) -> None:
        newest = pair.shelf.versions[0]
        row = pair.row(newest)
        if row is None or row.status not in IN_TABLE or newest.modified < self.since:
            return
        if self.after_load(row.dataset) != KEEP:
            report.counts["removed_after_load"] += 1
            return
        what = f"{row.status}, and the object has been deleted since; its versions are still there"
        report.add(Finding(Kind.DELETED, pair.key, what, undelete(self.bucket, pair.key, marker.version_id), newest.version_id))
