"""The short chaos run, with a fixed seed: kills and outages of every kind, and every file is loaded exactly once. And what judges it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from chaos import crashes, points, receipts, recovery, redrive, referee, report, tags
from chaos.entry import Entry, rows
from chaos.files import DATASETS, Damage, File
from chaos.model import Finding, Harm, Judge, Observed
from chaos.nemesis import Act
from chaos.proxy import Fault, Proxies
from chaos.referee import Settled
from chaos.result import Run
from chaos.sender import Sent
from chaos.stack import Stack
from decryptor.download import fetch
from shared import failpoint
from shared.contract import FileRef
from shared.errors import ErrorCode, Retryable
from shared.failpoint import Point

TESTS = Path(__file__).parent.parent
SEED = 1
WITHIN_S = 280
SLOWEST_A_SECOND = 4
"""Dead letters that were seen to come back after a redrive, on a machine that others wanted too."""


@pytest.mark.timeout(WITHIN_S + 20)
def test_a_short_storm_loses_doubles_and_disorders_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--short", "--seed", str(SEED)],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, "see the table above; its last line tells how to repeat the run"


LOADED = Entry("loaded", None, 1, 0.0)


def sent(number: int, announced: float) -> Sent:
    return Sent(File(number, DATASETS[0], f"incoming/chaos_stock/{number}", 1, b""), "v", "e", 1, announced)


def run(fates: Sequence[tuple[float, float]], acts: Sequence[Act], receives: Sequence[int] = (1,)) -> Run:
    """A run whose files were announced and had their fate at these moments."""
    files = [sent(number, announced) for number, (announced, _) in enumerate(fates)]
    ledger = {(s.file.key, "v"): replace(LOADED, updated=fate) for s, (_, fate) in zip(files, fates, strict=True)}
    return Run(files, acts, Settled(Observed(ledger, {}, [], 0, []), 1.0), [], receives, 10, {}, frozenset(), 10)


def stories(result: Run) -> list[str]:
    return [finding.story for finding in recovery.check(result)]


OUTAGE = Act("S3 cut", 100.0, 160.0)


@pytest.mark.parametrize(
    ("fate", "others", "told"),
    [
        (169.0, [], []),
        (171.0, [], ["files flowed again 11.0 s after an outage of 60 s: 10 s are promised"]),
        (171.0, [Act("Redis cut", 165.0, 166.0)], []),
        (171.0, [Act("Redis cut", 150.0, 159.0)], ["files flowed again 11.0 s after an outage of 60 s: 10 s are promised"]),
        (171.0, [Act("kill: poller", 155.0, 155.0)], []),
        (171.0, [Act("kill: loader's child", 162.0, 162.0)], ["files flowed again 11.0 s after an outage of 60 s: 10 s are promised"]),
        (185.0, [Act("Redis cut", 175.0, 176.0)], ["files flowed again 25.0 s after an outage of 60 s: 10 s are promised"]),
    ],
)
def test_files_flow_soon_after_an_outage_unless_something_else_went_wrong(fate: float, others: list[Act], told: list[str]) -> None:
    assert stories(run([(90.0, fate)], [OUTAGE, *others])) == told


def test_an_outage_that_nobody_waited_for_is_not_measured() -> None:
    assert stories(run([(90.0, 95.0), (161.0, 200.0)], [OUTAGE])) == []


def test_slow_recovery_from_kills_is_told_where_there_are_enough() -> None:
    fates = [(1000.0 * nth, 1000.0 * nth + (26.0 if nth < 10 else 6.0)) for nth in range(recovery.ENOUGH)]
    kills = [Act("kill: poller", announced + 1.0, announced + 1.0) for announced, _ in fates]
    told = "of the kills, p99 was recovered from after 25.0 s: 20 s are promised, the visibility timeout and 10 s"
    assert stories(run(fates, kills)) == [told]
    assert stories(run(fates[5:], kills[5:])) == []


def test_receives_stay_below_the_limit() -> None:
    assert stories(run([], [], [9, 3])) == []
    assert stories(run([], [], [10, 3])) == ["SQS handed a message out 10 times, and 10 are all that aws/stack.yaml allows"]


def deaths(count: int) -> list[Act]:
    kinds = ["kill: loader's child", f"kill: at {Point.DECRYPTOR_TAKEN}", "kill: decryptor's child"]
    return [Act(kinds[nth], 2.0 + nth, 2.0 + nth) for nth in range(count)]


def test_a_file_whose_processes_were_killed_thrice_may_be_crashed() -> None:
    ledger = {(f"incoming/chaos_stock/{number}", "v"): Entry("rejected", "crashed", None, 9.0) for number in range(3)}
    files = [sent(0, 1.0), sent(1, 4.5)]
    assert crashes.killed_thrice(files, ledger, [*deaths(3), Act("kill: poller", 5.0, 5.0)]) == {0}
    assert crashes.killed_thrice(files, ledger, deaths(2)) == frozenset()
    assert crashes.killed_thrice([sent(number, 1.0) for number in range(3)], ledger, deaths(3)) == frozenset(), "too many to be chance"
    assert [s.file.damage for s in crashes.as_damaged(files, frozenset({0}))] == [Damage.CRASHED, None]


def part(number: int, damage: Damage | None = None) -> Sent:
    csv = b"id,file,version,body\n" + b"".join(b"%d,f,1,b\n" % (10 * number + n) for n in range(number))
    file = File(number, DATASETS[2], f"incoming/chaos_sales/{number}", 1, csv, damage, group="g", part=number, parts=2)
    return Sent(file, "v", "e", 1, 1.0)


PARTS = [part(1), part(2)]


def entries(one: Entry, two: Entry) -> dict[tuple[str, str], Entry]:
    return {(sent.file.key, "v"): entry for sent, entry in zip(PARTS, (one, two), strict=True)}


def judged(parts: Sequence[Sent], ledger: dict[tuple[str, str], Entry], *tables: Sent, **more: Any) -> set[Harm]:
    found = [row for sent in tables for row in rows(sent.file)]
    dead = [(key, version, entry.error_code or "") for (key, version), entry in ledger.items() if entry.status == "rejected"]
    observed = Observed(ledger, {DATASETS[2].name: found}, more.pop("dead", dead), 0, [], **more)
    return {finding.harm for finding in Judge(parts, observed).judge()}


LOADED_PART, LAST_PART, STAGED = (Entry(status, None, count, 2.0) for status, count in (("loaded", None), ("loaded", 3), ("staged", None)))
SPOILED = Entry("rejected", "group_rejected", None, 2.0)


def test_a_group_is_loaded_as_a_whole() -> None:
    assert judged(PARTS, entries(LOADED_PART, LAST_PART), *PARTS) == set()
    assert judged(PARTS, entries(LAST_PART, LOADED_PART), *PARTS) == set()
    assert Harm.LOST in judged(PARTS, entries(LOADED_PART, STAGED), PARTS[0]), "apart"
    assert Harm.LOST in judged(PARTS, entries(STAGED, STAGED))
    assert Harm.DOUBLED in judged(PARTS, entries(LOADED_PART, LAST_PART), *PARTS, PARTS[1])
    assert judged(PARTS, entries(LAST_PART, LAST_PART), *PARTS) == {Harm.LOST}, "both say that they were the last"


def test_of_a_group_with_a_wrong_part_nothing_is_loaded() -> None:
    parts = [part(1, Damage.GROUP), part(2, Damage.NOT_GZIP)]
    ledger = entries(SPOILED, Entry("rejected", "gzip_invalid", None, 2.0))
    key = parts[1].file.key
    assert judged(parts, ledger, dead=[(key, "v", "gzip_invalid")]) == set(), "the first was staged: its message is settled"
    assert Harm.DOUBLED in judged(parts, ledger, parts[0])
    assert Harm.WRONG in judged(parts, entries(STAGED, ledger[key, "v"]))


def test_a_group_with_a_part_that_crashed_may_wait_and_is_rejected_for_good_once_it_knows() -> None:
    crashed = crashes.as_damaged(PARTS, frozenset({2}))
    assert [sent.file.damage for sent in crashed] == [Damage.GROUP, Damage.CRASHED]
    waiting, told = (entries(one, Entry("rejected", "crashed", None, 9.0)) for one in (STAGED, SPOILED))
    assert judged(crashed, waiting) == judged(crashed, told) == set()
    redriven = [[sent.file.damage for sent in crashes.as_redriven(PARTS, frozenset({2}), ledger)] for ledger in (waiting, told)]
    assert redriven == [[None, None], [Damage.GROUP, Damage.GROUP]]


def test_what_is_loaded_has_its_tag() -> None:
    untagged = frozenset({(PARTS[0].file.key, "v")})
    assert judged(PARTS, entries(LOADED_PART, LAST_PART), *PARTS, untagged=untagged) == {Harm.WRONG}


class StackWithASpool(Stack):
    """Nothing but a queue and a spool, from which the line takes what is old."""

    def __init__(self, folder: Path, queued: int) -> None:
        super().__init__(folder, 10)
        self._queued = queued

    def queued(self) -> int:
        return self._queued

    def dead_letters(self) -> list[dict[str, Any]]:
        return []

    def rows(self, *_: object) -> list[tuple[Any, ...]]:
        return []

    def spooled(self) -> list[Path]:
        return [path for path in super().spooled() if path.stat().st_mtime > time.time() - referee.AGED_S / 2]


@pytest.mark.parametrize(("queued", "within", "left"), [(0, 60.0, []), (3, 0.1, ["a-file"])])
def test_the_spool_is_swept_once_nothing_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queued: int, within: float, left: list[str]
) -> None:
    """What files under way have in the spool must stay: they would be decrypted once more, and the run would take longer still."""
    (spool := tmp_path / "spool").mkdir()
    (spool / "a-file").touch()
    monkeypatch.setattr(tags, "untagged", lambda _: frozenset())
    monkeypatch.setattr(receipts, "read", lambda _: {})
    monkeypatch.setattr(referee, "QUIET_S", 0.0)
    monkeypatch.setattr(referee, "POLL_S", 0.01)
    observed = referee.settle(StackWithASpool(tmp_path, queued), [], within).observed
    assert (observed.queued, observed.spooled) == (queued, left)


def test_what_is_left_in_the_queue_is_told_before_the_files_for_which_it_is_why() -> None:
    files = [Finding(Harm.REDRIVE, number, "rejected and not in the dead-letter queue") for number in range(report.STORIES)]
    left = Finding(Harm.REDRIVE, None, "7 messages are left in the queue")
    assert report.first([*files, left]) == [left, *files[:-1]]


def test_more_dead_letters_may_take_longer() -> None:
    assert redrive.bound_s(400) - redrive.bound_s(0) >= 400 / SLOWEST_A_SECOND


def test_failpoints_make_their_share_of_the_kills() -> None:
    traps = points.choose(kills=1200, files=2100)
    assert {trap.point for trap in traps} == set(Point)
    expected = sum(trap.kills(int(2100 * points.PASSES_PER_FILE.get(trap.point, points.USUAL_PASSES_PER_FILE)) + 1) for trap in traps)
    assert expected + points.left_over(1200) == pytest.approx(1200, rel=0.05)
    assert min(trap.number for trap in points.choose(kills=100_000, files=100)) == points.LEAST


def test_a_trap_that_was_disarmed_neither_kills_nor_counts(tmp_path: Path) -> None:
    traps = [points.Trap(Point.POLLER_HELD, 5, again=False), points.Trap(Point.POLLER_HELD, 3, again=False)]
    armed = points.Points([*traps, points.Trap(Point.LOADER_TAKEN, 2, again=True)], tmp_path)
    for trap in traps:
        failpoint.count_file(tmp_path, trap.term).write_bytes(b"....")
    failpoint.count_file(tmp_path, "loader.taken=kill@*/2").write_bytes(b".....")
    armed.disarm()
    assert armed.kills() == {"kill: at poller.held": 1, "kill: at loader.taken": 2}
    assert failpoint.count_file(tmp_path, traps[0].term).stat().st_size == 5, "so the next pass is the sixth"


@pytest.mark.parametrize(("fault", "code"), [(Fault.KMS_DISABLED, "KMS.DisabledException"), (Fault.KMS_THROTTLES, "ThrottlingException")])
def test_the_decryptor_takes_an_absent_kms_for_an_outage(fault: Fault, code: str) -> None:
    times = {"event_time": "2026-01-01T00:00:00Z", "received_at": "2026-01-01T00:00:00Z"}
    file = FileRef(bucket="b", key="incoming/orders/a.csv.gz.age", version_id="v", size=1, message_id="m", **times)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxies = Proxies({"s3": silent.getsockname()[1]}, SEED)
        proxies.begin("s3", fault)
        endpoint = f"http://127.0.0.1:{proxies.ways['s3'].port}"
        config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}, read_timeout=5)
        s3: Any = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)
        with pytest.raises(Retryable, match=f"400 {code}") as raised:
            fetch(s3, file)
    assert raised.value.error_code == ErrorCode.STORAGE_UNAVAILABLE
