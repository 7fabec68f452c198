"""What must come of the files, computed without the product, and what came of them instead.

The model is tolerant only where the promise is: which of two equal contents is the duplicate, and whether an older version was
loaded before the newer one or is superseded, depend on the order of arrival. The tables are compared row by row.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chaos import groups, receipts
from chaos.entry import Entry, Row, rows
from chaos.files import Damage, Dataset, File, Mode
from chaos.sender import Sent

DECRYPTOR_FINDS = ("ciphertext_corrupt", "age_header_invalid", "no_matching_identity")


class Harm(StrEnum):
    """What must never be."""

    LOST = "lost"
    DOUBLED = "doubled"
    WRONG_ORDER = "wrong order"
    FALSE_DLQ = "false DLQ"
    IN_QUEUE = "left in queue"
    IN_SPOOL = "left in spool"
    WRONG = "else wrong"
    REDRIVE = "redrive"
    TOO_SLOW = "too slow"


@dataclass(frozen=True)
class Finding:
    """One violation. `file` is the number of the file that it is about, None for the whole."""

    harm: Harm
    file: int | None
    story: str


@dataclass
class Observed:
    """What there is when all is settled.

    Attributes:
        ledger: by key and version id.
        tables: rows by dataset.
        dead: key, version id and error_code of each dead letter.
        untagged: key and version id of what has no tag and is of a dataset whose loaded files are to have one; what was given up is not.
        queued: messages in the ingest queue.
        spooled: names in the spool.
        receipts: version id and status by key; None: nobody looked.
        untold: keys whose receipt the product gave up, and said so.
    """

    ledger: dict[tuple[str, str], Entry]
    tables: dict[str, list[Row]]
    dead: list[tuple[str, str, str]]
    queued: int
    spooled: list[str]
    untagged: frozenset[tuple[str, str]] = frozenset()
    receipts: dict[str, tuple[str, str]] | None = None
    untold: frozenset[str] = frozenset()


@dataclass
class Judge:
    """Compares."""

    sent: Sequence[Sent]
    observed: Observed
    findings: list[Finding] = field(default_factory=list)

    def judge(self) -> list[Finding]:
        """All violations."""
        self._check_ledger()
        for versions in self._by_key().values():
            self._check_order([s for s in versions if s.file.damage is None])
        self._check_equal_contents()
        for sent, story in groups.apart(self.sent, self.observed.ledger):
            self._find(Harm.LOST, sent.file, story)
        self._check_tags()
        for dataset in {s.file.dataset for s in self.sent}:
            self._check_table(dataset)
        self._check_dead_letters()
        self._check_receipts()
        if self.observed.queued:
            self._find(Harm.IN_QUEUE, None, f"{self.observed.queued} messages are left in the queue")
        for name in self.observed.spooled:
            self._find(Harm.IN_SPOOL, None, f"{name} is left in the spool")
        return self.findings

    def _find(self, harm: Harm, file: File | None, story: str) -> None:
        self.findings.append(Finding(harm, file.number if file else None, story))

    def _entry(self, sent: Sent) -> Entry | None:
        return self.observed.ledger.get((sent.file.key, sent.version_id))

    def _status(self, sent: Sent) -> str:
        entry = self._entry(sent)
        return entry.status if entry else "nowhere"

    def _by_key(self) -> dict[str, list[Sent]]:
        """Versions by key, the oldest first."""
        versions: dict[str, list[Sent]] = defaultdict(list)
        for sent in sorted(self.sent, key=lambda s: s.file.version):
            versions[sent.file.key].append(sent)
        return versions

    # The ledger

    def _check_ledger(self) -> None:
        for sent in self.sent:
            entry, file = self._entry(sent), sent.file
            if entry is None or entry.status == "failed":
                kept = file.damage is not None and any(
                    (key, version) == (file.key, sent.version_id) for key, version, _ in self.observed.dead
                )
                self._find(Harm.WRONG if kept else Harm.LOST, file, f"{_name(sent)}: {entry or 'nowhere in the ledger'}")
            elif file.damage is None:
                self._check_good(sent, entry)
            elif entry.status == "staged" and groups.may_wait(file, self.sent):
                continue
            elif entry.status != "rejected" and not self._may_be_superseded(sent, entry):
                self._find(Harm.WRONG, file, f"{_name(sent)} is {entry.status} instead of rejected with {file.damage}")
            elif entry.status == "rejected" and entry.error_code != file.damage:
                self._find(Harm.WRONG, file, f"{_name(sent)} is rejected with {entry.error_code} instead of {file.damage}")
        known = {(sent.file.key, sent.version_id) for sent in self.sent}
        for key, version in self.observed.ledger.keys() - known:
            self._find(Harm.WRONG, None, f"{key} {version}: nobody sent it")

    def _check_good(self, sent: Sent, entry: Entry) -> None:
        if entry.status not in {"loaded", "duplicate", "superseded"}:
            self._find(Harm.LOST, sent.file, f"{_name(sent)} is good and {entry.status} ({entry.error_code})")
        if entry.status == "loaded" and not sent.file.group and entry.rows_loaded != len(rows(sent.file)):
            self._find(Harm.WRONG, sent.file, f"{_name(sent)}: the ledger tells of {entry.rows_loaded} rows")

    def _may_be_superseded(self, sent: Sent, entry: Entry) -> bool:
        """A wrong CSV is never read once a newer version of its key was loaded."""
        newer = any(s.file.key == sent.file.key and s.file.version > sent.file.version for s in self.sent)
        return entry.status == "superseded" and newer and sent.file.damage not in DECRYPTOR_FINDS

    def _check_order(self, versions: list[Sent]) -> None:
        """The newest good version counts, and none was loaded after a newer one."""
        latest = 0.0
        for sent in versions:
            entry = self._entry(sent)
            if entry is None or entry.status not in {"loaded", "duplicate"}:
                if sent is versions[-1] and self._status(sent) == "superseded" and sent.file.dataset.mode is not Mode.REPLACE:
                    self._find(Harm.LOST, sent.file, f"{_name(sent)} is the newest and superseded")
                continue
            if entry.updated < latest:
                self._find(Harm.WRONG_ORDER, sent.file, f"{_name(sent)} was loaded before an older version")
            latest = entry.updated
            if entry.status == "duplicate" and not self._has_twin(sent):
                self._find(Harm.LOST, sent.file, f"{_name(sent)} is a duplicate of nothing that was loaded")

    def _has_twin(self, sent: Sent) -> bool:
        return any(
            s is not sent and s.file.dataset == sent.file.dataset and s.file.csv == sent.file.csv and self._status(s) == "loaded"
            for s in self.sent
        )

    def _check_equal_contents(self) -> None:
        """Of equal contents under several keys, one is loaded."""
        keys: dict[tuple[str, bytes], list[Sent]] = defaultdict(list)
        for sent in self.sent:
            if sent.file.damage is None and sent.file.version == 1:
                keys[sent.file.dataset.name, sent.file.csv].append(sent)
        for equal in keys.values():
            statuses = [self._status(sent) for sent in equal]
            if len(equal) > 1 and statuses.count("loaded") > 1:
                self._find(Harm.DOUBLED, equal[0].file, f"{_name(equal[0])}: equal contents are {statuses}")

    def _check_tags(self) -> None:
        for sent in self.sent:
            if (sent.file.key, sent.version_id) in self.observed.untagged and self._status(sent) in {"loaded", "duplicate"}:
                self._find(Harm.WRONG, sent.file, f"{_name(sent)} is {self._status(sent)}, and its object is not tagged")

    # The tables

    def _check_table(self, dataset: Dataset) -> None:
        expected, actual = Counter(self._expected(dataset)), Counter(self.observed.tables[dataset.name])
        present, wanted = {row[0] for row in actual}, {row[0] for row in expected}
        owners = {row[0]: sent.file for sent in self.sent if sent.file.dataset == dataset for row in rows(sent.file)}
        told: set[tuple[Harm, int]] = set()
        for row in (actual - expected) + (expected - actual):
            harm = _harm(dataset, expected[row], actual[row], other_version=row[0] in present & wanted)
            owner = owners.get(row[0])
            if (harm, owner.number if owner else 0) not in told:
                told.add((harm, owner.number if owner else 0))
                self._find(harm, owner, f"{dataset.name}: row {row[:3]} is there {actual[row]} times instead of {expected[row]}")

    def _expected(self, dataset: Dataset) -> Iterator[Row]:
        good = [s for s in self.sent if s.file.dataset == dataset and s.file.damage is None]
        match dataset.mode:
            case Mode.UPSERT:
                newest = {s.file.key: s for s in sorted(good, key=lambda s: s.file.version)}
                # Equal contents have the same rows: once.
                yield from {row for s in newest.values() for row in rows(s.file)}
            case Mode.APPEND:
                # Whether an older version came in time to be loaded is the ledger's to say; that its rows are there just once, ours.
                yield from (row for s in good if self._counts(s, good) for row in rows(s.file))
            case Mode.REPLACE:
                yield from rows(max(good, key=lambda s: s.file.event_time).file) if good else ()

    def _counts(self, sent: Sent, good: list[Sent]) -> bool:
        """A file that can't be superseded or a duplicate must be in the table, whatever the ledger says."""
        alone = not any(s is not sent and (s.file.key == sent.file.key or s.file.csv == sent.file.csv) for s in good)
        newest = not any(s.file.key == sent.file.key and s.file.version > sent.file.version for s in good)
        twins = any(s is not sent and s.file.csv == sent.file.csv for s in good)
        return alone or (newest and not twins) or self._status(sent) == "loaded"

    # The dead-letter queue

    def _check_dead_letters(self) -> None:
        files = {(sent.file.key, sent.version_id): sent for sent in self.sent}
        dead = {(key, version) for key, version, _ in self.observed.dead}
        for key, version, code in self.observed.dead:
            sent = files.get((key, version))
            if sent is None or sent.file.damage is None:
                self._find(Harm.FALSE_DLQ, sent.file if sent else None, f"{key} {version} is in the dead-letter queue: {code or 'by SQS'}")
        for sent in self.sent:
            # A part that was staged is settled: its group's end is told by the part that brought it.
            told = sent.file.damage is Damage.GROUP or (sent.file.key, sent.version_id) in dead
            if self._status(sent) == "rejected" and not told:
                self._find(Harm.LOST, sent.file, f"{_name(sent)} is rejected and not in the dead-letter queue")

    # The receipts

    def _check_receipts(self) -> None:
        if self.observed.receipts is None:
            return
        fates = {
            key: [(s.version_id, self._status(s)) for s in versions if self._status(s) not in {"nowhere", "failed"}]
            for key, versions in self._by_key().items()
        }
        parts = {s.file.key: s.file.group for s in self.sent if s.file.group}
        for _, story in receipts.wrong(self.observed.receipts, fates, parts, self.observed.untold):
            self._find(Harm.WRONG, None, story)


def _harm(dataset: Dataset, expected: int, actual: int, *, other_version: bool) -> Harm:
    if dataset.mode is Mode.UPSERT and other_version:
        return Harm.WRONG_ORDER
    if dataset.mode is Mode.REPLACE:
        return Harm.DOUBLED if actual > expected > 0 else Harm.WRONG_ORDER
    return Harm.LOST if actual < expected else Harm.DOUBLED


def _name(sent: Sent) -> str:
    return f"file {sent.file.number} ({sent.file.key}, version {sent.file.version})"


def typed(found: Iterable[tuple[Any, ...]]) -> list[Row]:
    """Rows of a table."""
    return [(int(row[0]), str(row[1]), int(row[2]), str(row[3])) for row in found]
