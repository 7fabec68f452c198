"""What one key's versions and rows amount to: each kind of finding, and what is none."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from hikyaku.errors import UserError
from hikyaku.operator.audit import purpose
from hikyaku.operator.audit.command import as_document
from hikyaku.operator.audit.finding import Kind, Report
from hikyaku.operator.audit.judge import Judge
from hikyaku.operator.inventory.bucket import Marker, Shelf, Version
from hikyaku.operator.inventory.matching import Pair, Row
from hikyaku.operator.inventory.queues import Letters
from hikyaku.operator.inventory.spans import moment, span
from shared.contract import AfterLoad
from shared.datasets_file import parse_file

NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
KEY = "incoming/orders/it's.csv.gz.age"


def version(name: str = "v1", age: dt.timedelta = DAY, key: str = KEY) -> Version:
    return Version(key, name, "etag", 1, NOW - age)


def row(name: str = "v1", status: str = "loaded", age: dt.timedelta = DAY, **changes: Any) -> Row:
    error_code = "hash_mismatch" if status in {"rejected", "failed"} else None
    values = {"error_code": error_code, "dataset": "orders", "event_time": NOW - age, "sequencer": "A1", "updated_at": NOW - age}
    return Row(**{"key": KEY, "version_id": name, "status": status, **values, **changes})


def found(versions: list[Version], rows: list[Row], *, marker: str = "", letters: Letters | None = None, **changes: Any) -> Report:
    values = {"grace": dt.timedelta(minutes=10), "since": NOW - 99 * DAY, "kept_for": 30 * DAY, "queue_is_empty": True}
    judge = Judge(**{"bucket": "acme-in", "now": NOW, "letters": letters or Letters(), "after_load": lambda _: "keep", **values, **changes})
    report = Report(most=10)
    judge.look(Pair(KEY, Shelf(KEY, tuple(versions), Marker(KEY, marker) if marker else None), tuple(rows)), report)
    return report


def kinds(*arguments: Any, **changes: Any) -> list[str]:
    return [str(each.kind) for each in found(*arguments, **changes).findings]


def a_letter(name: str = "v1") -> Letters:
    letters = Letters()
    letters.add(f'{{"detail": {{"object": {{"key": "{KEY}", "version-id": "{name}"}}}}}}')
    return letters


def test_what_the_ledger_does_not_know_is_named_with_its_command() -> None:
    [finding] = found([version()], []).findings
    assert (finding.kind, finding.mend) == (Kind.NEVER_LOADED, "hikyaku replay 'incoming/orders/it'\"'\"'s.csv.gz.age' --version v1")


def test_within_the_grace_a_file_is_on_its_way() -> None:
    report = found([version(age=dt.timedelta(minutes=9))], [])
    assert (report.found, report.counts["on_its_way"]) == (0, 1)


def test_what_the_line_does_not_carry_is_counted() -> None:
    report = found([version(key="incoming/orders/readme.txt")], [])
    assert (report.found, report.counts["not_ours"]) == (0, 1)


def test_a_letter_of_a_file_without_a_row_is_told() -> None:
    [finding] = found([version()], [], letters=a_letter()).findings
    assert "its message is in the dead-letter queue" in finding.what


@pytest.mark.parametrize("status", ["loaded", "duplicate", "superseded", "tested", "staged"])
def test_a_version_with_its_fate_is_well(status: str) -> None:
    assert kinds([version()], [row(status=status)]) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["no_letter"]),
        ({"letters": a_letter()}, []),
        ({"letters": a_letter("v2")}, ["no_letter"]),
        ({"letters": Letters(read=0, unread=1)}, []),
    ],
)
def test_a_rejected_file_needs_its_letter(changes: dict[str, Any], expected: list[str]) -> None:
    assert kinds([version()], [row(status="rejected")], **changes) == expected


def test_a_file_corrected_since_needs_none() -> None:
    report = found([version("v2", DAY / 2), version()], [row("v2", age=DAY / 2), row(status="rejected")])
    assert (report.found, report.counts["corrected_since"]) == (0, 1)
    # Of the older one it says nothing.
    assert kinds([version("v2", DAY / 2), version()], [row("v2", "rejected", DAY / 2), row()]) == ["no_letter"]


def test_a_failed_file_may_be_in_flight() -> None:
    assert kinds([version()], [row(status="failed")], queue_is_empty=False) == []
    assert kinds([version()], [row(status="failed")]) == ["no_letter"]
    assert kinds([version()], [row(status="failed", updated_at=NOW)]) == []


def test_parts_of_a_group_have_no_letter_of_their_own() -> None:
    assert kinds([version()], [row(status="rejected", error_code="group_rejected")]) == []
    [finding] = found([version()], [row(status="rejected", error_code="group_expired")]).findings
    assert finding.mend == "have the sender send it again"


def test_a_rejected_file_whose_object_is_gone_can_only_be_sent_again() -> None:
    [finding] = found([], [row(status="rejected", error_code="object_missing")]).findings
    assert (finding.kind, finding.mend) == (Kind.NO_LETTER, "have the sender send it again")


def test_a_loaded_version_that_is_gone() -> None:
    assert kinds([], [row()]) == ["gone"]
    assert kinds([], [row(age=40 * DAY)]) == ["gone"]
    assert kinds([], [row(status="superseded")]) == []
    assert kinds([version("v2", DAY / 2)], [row("v2", age=DAY / 2), row()]) == ["gone"]


def test_a_replaced_version_may_expire() -> None:
    report = found([version("v2")], [row("v2"), row(age=31 * DAY)])
    assert (report.found, report.counts["expired"]) == (0, 1)


@pytest.mark.parametrize("option", ["delete", "tag"])
def test_what_a_dataset_removes_is_no_finding(option: str) -> None:
    report = found([], [row()], after_load=lambda dataset: option if dataset == "orders" else "keep")
    assert (report.found, report.counts["removed_after_load"]) == (0, 1)
    assert kinds([version()], [row()], marker="m", after_load=lambda _: option) == []


def test_a_deleted_object_is_named_with_its_undoing() -> None:
    [finding] = found([version()], [row()], marker="m").findings
    assert finding.kind is Kind.DELETED
    assert finding.mend.startswith("aws s3api delete-object --bucket acme-in --key ")
    assert finding.mend.endswith(" --version-id m")


def test_a_deleted_object_that_was_never_loaded_is_named_once() -> None:
    assert kinds([version()], [], marker="m") == ["never_loaded"]


def test_what_is_older_is_left_out() -> None:
    assert kinds([version()], [], since=NOW) == []
    assert kinds([], [row()], since=NOW) == []
    assert kinds([version()], [row()], marker="m", since=NOW) == []


def test_all_are_counted_and_the_first_are_kept() -> None:
    report = found([version(f"v{number}") for number in range(25)], [])
    assert (report.found, len(report.findings)) == (25, 10)
    assert as_document(report)["kinds"] == {"never_loaded": 25}


def test_the_after_load_of_each_dataset_is_as_the_loader_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "datasets.toml"
    path.write_text(
        '[defaults]\nafter_load = "tag"\n[datasets.a]\nafter_load = "delete"\n[datasets.b]\nmode = "append"\n', encoding="utf-8"
    )
    asked, theirs = purpose.after_load(str(path)), parse_file(path)
    for name in ("a", "b", "c"):
        assert asked(name) == theirs.of(f"incoming/{name}/x.csv.gz.age").after_load
    assert asked(None) == AfterLoad.TAG


def test_without_the_file_every_dataset_keeps_its_objects(tmp_path: Path) -> None:
    assert {purpose.after_load(path)("a") for path in ("", str(tmp_path / "none.toml"))} == {AfterLoad.KEEP}


def test_a_broken_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "datasets.toml"
    path.write_text("[datasets", encoding="utf-8")
    with pytest.raises(UserError, match=r"datasets\.toml can't be read") as raised:
        purpose.after_load(str(path))
    assert raised.value.exit_code == 2


def test_spans_and_moments() -> None:
    assert [span(text, "--x") for text in ("90s", "10m", "12h", "30d")] == [
        dt.timedelta(seconds=90),
        dt.timedelta(minutes=10),
        dt.timedelta(hours=12),
        dt.timedelta(days=30),
    ]
    assert moment("2026-11-01T09:00+09:00", "--x") == dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    assert moment("2026-11-01", "--x").tzinfo is not None
    assert moment("1d", "--x") < dt.datetime.now(dt.UTC)


@pytest.mark.parametrize("text", ["", "x", "1w", "-1d", "2026-13-01", "9999999d"])
def test_what_is_neither_is_said(text: str) -> None:
    for read in (span, moment):
        with pytest.raises(UserError, match=r"^--x ") as raised:
            read(text, "--x")
        assert raised.value.exit_code == 2
