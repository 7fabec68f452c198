import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hikyaku.errors import UserError
from hikyaku.operator import metrics
from hikyaku.operator.health import Depth
from hikyaku.operator.metrics import Known, rendered

ROOT = Path(__file__).parents[2]
ORDERS: dict[str, Any] = {"dataset": "orders", "age": dt.timedelta(minutes=2), "loaded_24h": 5, "rejected_24h": 1, "failed": 2}
NEW = ORDERS | {"dataset": "new", "age": None}
NUMBERS = {"folder": "orders", "sender": 'a"\n\\飛脚', "missing": 3, "repeated": 1}
KNOWN = Known([ORDERS, NEW], [NUMBERS], {"ingest": Depth(7, 8, 9), "dead_letter": Depth(1, 0, 0)})


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value for family in text_string_to_metric_families(text) for sample in family.samples
    }


def test_the_docs_list_every_metric_and_no_other() -> None:
    _, _, after = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("### Metrics of ledger and queues")
    section, ours = after.partition("\n## ")[0], {name for name, *_ in samples(rendered(KNOWN))}
    assert set(re.findall(r"^\| `(hikyaku_\w+)", section, re.MULTILINE)) == ours
    rules = re.findall(r"^ +expr: .*", section, re.MULTILINE)
    assert len(rules) >= 3
    assert {name for rule in rules for name in re.findall(r"hikyaku_\w+", rule)} <= ours


def test_what_is_known_is_told_in_prometheus_words() -> None:
    found = samples(rendered(KNOWN))
    assert found.pop(("hikyaku_looked_at_timestamp_seconds",)) > 0
    files = {(name, status): count for name in ("orders", "new") for status, count in (("loaded", 5), ("rejected", 1))}
    assert found == {
        ("hikyaku_sequence_missing", "orders", NUMBERS["sender"]): 3,
        ("hikyaku_sequence_repeated", "orders", NUMBERS["sender"]): 1,
        ("hikyaku_last_load_age_seconds", "orders"): 120,
        ("hikyaku_files_failed", "orders"): 2,
        ("hikyaku_files_failed", "new"): 2,
        **{("hikyaku_files_24h", *labels): count for labels, count in files.items()},
        ("hikyaku_queue_messages", "ingest", "visible"): 7,
        ("hikyaku_queue_messages", "ingest", "in_flight"): 8,
        ("hikyaku_queue_messages", "ingest", "delayed"): 9,
        ("hikyaku_queue_messages", "dead_letter", "visible"): 1,
        ("hikyaku_queue_messages", "dead_letter", "in_flight"): 0,
        ("hikyaku_queue_messages", "dead_letter", "delayed"): 0,
    }


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path | None], None]:
    for name in ("DATABASE_URL", "QUEUE_URL", "DLQ_URL"):
        monkeypatch.setenv(f"HIKYAKU_{name}", "postgresql://nobody@127.0.0.1:1/x")
    return lambda output: metrics.metrics(output=output)


def test_the_file_is_replaced_whole_and_others_may_read_it(
    tmp_path: Path, run: Callable[[Path | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "look", lambda _: KNOWN)
    file = tmp_path / "hikyaku.prom"
    file.write_text("old\n")
    before = file.stat().st_ino
    run(file)
    assert samples(file.read_text(encoding="utf-8"))["hikyaku_last_load_age_seconds", "orders"] == 120
    assert file.stat().st_ino != before, "renamed over it, not written into it"
    assert file.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [file]


def test_a_ledger_that_is_away_leaves_the_file_as_it_was(tmp_path: Path, run: Callable[[Path | None], None]) -> None:
    file = tmp_path / "hikyaku.prom"
    file.write_text("old\n")
    with pytest.raises(UserError, match="can't be reached") as caught:
        run(file)
    assert caught.value.exit_code == 1
    assert file.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_can_not_be_written_is_named(
    tmp_path: Path, run: Callable[[Path | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "look", lambda _: KNOWN)
    with pytest.raises(UserError, match=r"none/hikyaku\.prom can't be written: No such file"):
        run(tmp_path / "none" / "hikyaku.prom")
