"""What an audit finds: kinds of findings, and the counts beside them."""

import shlex
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What needs a person."""

    NEVER_LOADED = "never_loaded"
    """In the bucket for longer than the grace, and the ledger has no row of it."""
    NO_LETTER = "no_letter"
    """Failed or rejected, and no message of it is in the dead-letter queue any more."""
    DELETED = "deleted"
    """Loaded, and the object has been deleted: its versions are still there below a delete marker."""
    GONE = "gone"
    """Loaded, and this version is in the bucket no longer."""
    SEQ_GAP = "seq_gap"
    """Numbers of a sender of which no file came."""


MEANING = {
    Kind.NEVER_LOADED: "arrived and never loaded",
    Kind.NO_LETTER: "failed or rejected, without a message in the dead-letter queue",
    Kind.DELETED: "loaded, and the object deleted since",
    Kind.GONE: "loaded, and its version no longer in the bucket",
    Kind.SEQ_GAP: "missing in the sender's count",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that needs a person."""

    kind: Kind
    key: str
    """Of the object; of a gap, the folder."""
    what: str
    mend: str
    """The command that mends it, or what to do where there is none."""
    version_id: str | None = None


@dataclass(slots=True)
class Report:
    """Counts of everything, and the first findings."""

    most: int
    """Findings that are kept; the others are only counted."""
    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[Kind] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What limits the report's certainty."""

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if there is room."""
        self.kinds[finding.kind] += 1
        if len(self.findings) < self.most:
            self.findings.append(finding)

    @property
    def found(self) -> int:
        """Findings in all."""
        return self.kinds.total()


def replay(key: str, version_id: str) -> str:
    """The command that sends a version's event again."""
    return shlex.join(["hikyaku", "replay", key, "--version", version_id])


def undelete(bucket: str, key: str, marker: str) -> str:
    """The command that takes a delete marker away: the object is there again as it was."""
    return shlex.join(["aws", "s3api", "delete-object", "--bucket", bucket, "--key", key, "--version-id", marker])
