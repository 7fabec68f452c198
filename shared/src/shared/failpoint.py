"""Failpoints: named places in the services where a test can kill, stop, delay or raise. Off, a place costs one attribute test.

Switched on only by the environment of a process, never by a settings file:

    HIKYAKU_FAILPOINTS='loader.before_commit=kill@1;decryptor.published(incoming/slow/*)=sleep:5'
    HIKYAKU_FAILPOINTS_DIR=/tmp/counts

`POINT[(GLOB OF KEYS)]=ACTION[@WHEN]`, joined by `;`. Actions: `kill`, `segfault`, `stop` (SIGSTOP), `sleep:SECONDS`, `raise`, `oom`
(a MemoryError). When: `@3` at the third pass only, `@*/50` at every fiftieth, nothing: at each pass. A pass counts if the file's key fits
the glob (`*` crosses slashes).

Passes are counted over all processes and their restarts, in the folder: a kill at each retry would be a poisonous file, where a test
that says `@1` means a crash. So `@` needs the folder. A pass appends one byte to a file there, and where that byte landed is the
pass's number: no lock that a killed process could keep. A test reads how often a place was passed by the file's size, see `count_file`.

After FreeBSD's fail(9) and TiKV's fail-rs; neither counts beyond one process.
"""

import os
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self
from urllib.parse import quote

from shared.logging import get_logger
from shared.settings import fail

VARIABLE = "HIKYAKU_FAILPOINTS"
FOLDER = "HIKYAKU_FAILPOINTS_DIR"


class Point(StrEnum):
    """Every place, in the order in which a file passes them: before and after each step that anybody else can see.

    The poller's go by messages: one passes with the key of its first file, each of those that a call to SQS or Redis carried.
    """

    POLLER_RECEIVED = "poller.received"
    """SQS has handed it out, nobody holds it."""
    POLLER_HELD = "poller.held"
    """It is held, its chain is not submitted."""
    POLLER_SUBMITTED = "poller.submitted"
    """Redis has its chain."""
    DECRYPTOR_TAKEN = "decryptor.taken"
    """The task has the file, nothing is done."""
    DECRYPTOR_DOWNLOADING = "decryptor.downloading"
    """S3 has answered, its body is unread."""
    DECRYPTOR_WRITTEN = "decryptor.written"
    """All of it is in the attempt's partial file, and authentic."""
    DECRYPTOR_PUBLISHED = "decryptor.published"
    """It has its name in the spool."""
    DECRYPTOR_RETURNING = "decryptor.returning"
    """Its parcel is done, the loader's task is not submitted."""
    LOADER_TAKEN = "loader.taken"
    """The task has the file, nothing is done."""
    LOADER_CLAIMED = "loader.claimed"
    """The ledger's row is ours, in an open transaction."""
    LOADER_COPIED = "loader.copied"
    """All rows are in the staging table."""
    LOADER_LOCKED = "loader.locked"
    """No other file can be merged into the target."""
    LOADER_MERGED = "loader.merged"
    """The rows are in the target, uncommitted."""
    LOADER_BEFORE_COMMIT = "loader.before_commit"
    """The ledger's row says so too."""
    LOADER_AFTER_COMMIT = "loader.after_commit"
    """It is committed, the spool still has the file."""
    LOADER_SPOOL_REMOVED = "loader.spool_removed"
    """The spool has forgotten it."""
    LOADER_RETURNING = "loader.returning"
    """Its parcel is done, the settle task is not submitted."""
    DECRYPTOR_RECEIPT_PUT = "decryptor.receipt_put"
    """Its receipt is in S3, or the records that come back with it are; nobody knows."""
    DECRYPTOR_TIDYING = "decryptor.tidying"
    """Its rows are committed, its object is neither tagged nor deleted: only with `after_load`."""
    DECRYPTOR_TIDIED = "decryptor.tidied"
    """Its object is, the poller does not know."""
    POLLER_SETTLED = "poller.settled"
    """The fate of all its files is noted, SQS does not know."""
    POLLER_LETTER_SENT = "poller.letter_sent"
    """The dead-letter queue has its copy, the ingest queue still has it."""
    POLLER_DELETED = "poller.deleted"
    """SQS has forgotten it."""
    POLLER_EXTENDED = "poller.extended"
    """A heartbeat has extended it."""
    POLLER_HANDED_BACK = "poller.handed_back"
    """SQS will hand it out again."""


NOT_COUNTED = -1


class FailpointError(Exception):
    """What `raise` raises: like a bug, it is no error that anybody expects."""


_SIGNALS = {"kill": signal.SIGKILL, "segfault": signal.SIGSEGV, "stop": signal.SIGSTOP}
_TERM = re.compile(
    r"""(?P<point>[^(=]+)
    (?:\((?P<glob>[^()]+)\))?
    =(?P<action>kill|segfault|stop|raise|oom|sleep:(?P<seconds>\d+(?:\.\d+)?))
    (?:@(?P<every>\*/)?(?P<number>[1-9]\d*))?""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Term:
    """What shall happen at one place."""

    text: str
    point: str
    glob: str
    action: str
    seconds: float
    number: int
    """0: at each pass."""
    every: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one term.

        Raises:
            ValueError: it is not one.
        """
        found = _TERM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not POINT[(GLOB)]=kill|segfault|stop|raise|oom|sleep:SECONDS[@N|@*/N]")
        if found["point"] not in set(Point):
            raise ValueError(f"{found['point']!r} is no failpoint, they are: {', '.join(Point)}")
        number, seconds = int(found["number"] or 0), float(found["seconds"] or 0)
        return cls(text, found["point"], found["glob"] or "*", found["action"], seconds, number, found["every"] is not None)

    def is_due(self, passes: int) -> bool:
        """Whether it acts at the pass of this number."""
        if self.every:
            return passes % self.number == 0
        return self.number in {0, passes}

    def act(self) -> None:
        """Do it."""
        if self.action in _SIGNALS:
            os.kill(os.getpid(), _SIGNALS[self.action])
        elif self.action == "raise":
            raise FailpointError(self.text)
        elif self.action == "oom":
            raise MemoryError(self.text)
        else:
            time.sleep(self.seconds)


@dataclass(frozen=True, slots=True)
class Armed:
    """Failpoints that are on."""

    terms: tuple[Term, ...]
    folder: Path | None

    def passed(self, point: Point, key: str) -> None:
        """Count a pass, and act where it is due."""
        for term in self.terms:
            if term.point == point and fnmatchcase(key, term.glob) and term.is_due(self._count(term)):
                get_logger().warning("failpoint", action="failpoint", does=term.text, key=key)
                term.act()

    def _count(self, term: Term) -> int:
        if self.folder is None:
            return 0
        descriptor = os.open(count_file(self.folder, term.text), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b".")
            return os.lseek(descriptor, 0, os.SEEK_CUR)
        except OSError:
            # A test has filled the disk, or forbidden this process to write: that is to be met by the work, not by the place before it.
            return NOT_COUNTED
        finally:
            os.close(descriptor)


class _Switch:
    armed: Armed | None = None


_switch = _Switch()


def failpoint(point: Point, key: str) -> None:
    """A place that a file with this key passes. Nothing happens unless `arm` has switched it on."""
    if _switch.armed is not None:
        _switch.armed.passed(point, key)


def arm(environment: Mapping[str, str]) -> None:
    """Switch on what the environment of a test names, in this process and those that it forks. A wrong spec ends the process with 2."""
    text, folder = environment.get(VARIABLE), environment.get(FOLDER)
    if not text:
        _switch.armed = None
        return
    terms, problems = _read(text, folder)
    if problems:
        fail(problems)
    get_logger().warning("failpoints_armed", action="failpoint", failpoints=text)
    _switch.armed = Armed(tuple(terms), Path(folder) if folder else None)


def count_file(folder: Path, term: str) -> Path:
    """The file that has one byte for each pass of a place, whose term is given as it stands in HIKYAKU_FAILPOINTS."""
    return folder / quote(term, safe="")


def _read(text: str, folder: str | None) -> tuple[list[Term], list[str]]:
    terms, problems = [], []
    for part in filter(None, text.split(";")):
        try:
            terms.append(Term.parse(part))
        except ValueError as error:
            problems.append(f"{VARIABLE}: {error}")
    if folder and not Path(folder).is_dir():
        problems.append(f"{FOLDER}: {folder}: is not a directory")
    if not folder and any(term.number for term in terms):
        problems.append(f"{FOLDER}: is not set, and @ counts passes there: without it a point would fire again after each restart")
    return terms, problems
