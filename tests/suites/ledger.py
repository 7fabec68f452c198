"""How the loader behaves over its database: run on the fake in tests/unit, on PostgreSQL in tests/integration.

Each test speaks to a `Bench`: files are settled one after another, and what the ledger and the tables hold is compared.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from shared.contract import Declared, FileRef, Problem, Settlement
from shared.errors import ErrorCode

BUCKET = "inbox"
TABLES = ("log", "stock", "whole", "daily", "counted")
CONFIGURATION = """
[datasets.log]
mode = "append"
after_load = "tag"
[datasets.whole]
mode = "replace"
[datasets.daily]
match = "incoming/daily/{day}.csv.gz.age"
mode = "replace"
order_by = "{day}"
[datasets.counted]
mode = "replace"
order_by = "seq"
seq = "unique"
"""
LEDGER = (
    "key",
    "version_id",
    "status",
    "error_code",
    "attempts",
    "rows_loaded",
    "rows_changed",
    "target",
    "mode",
    "order_by",
    "order_value",
    "part",
)
Told = tuple[Any, ...]


class Bench(Protocol):
    """A loader, empty tables `TABLES` (id, v; `stock` with a key), an empty ledger, `CONFIGURATION`."""

    def settle(self, file: FileRef, content: str | None, declared: Declared | None, problem: Problem | None) -> Settlement:
        """Load what the decryptor has published of a file that acme has signed, or learn of its problem."""

    def ledger(self) -> list[Told]:
        """The columns LEDGER of every row, in order."""

    def rows(self, table: str) -> list[tuple[str, str]]:
        """All rows, in order."""

    def marks(self) -> list[tuple[str, str, str]]:
        """dataset, value, file; in order."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One file that arrives at the loader."""

    key: str
    version: int
    content: str
    sequencer: str
    second: int
    found: ErrorCode | None = None
    """What the decryptor found out."""
    seq: int | None = None
    """Of its manifest, if it has one."""
    group: tuple[str, int, int] | None = None
    """Of its manifest: group, part and parts."""

    @property
    def declared(self) -> Declared | None:
        group = dict(zip(("group", "part", "parts"), self.group, strict=True)) if self.group else {}
        said = {"sender": "acme", "seq": self.seq, "created_at": "2026-05-01T00:00:00Z", **group}
        return None if self.seq is None else Declared.model_validate(said)

    @property
    def file(self) -> FileRef:
        return FileRef(
            bucket=BUCKET,
            key=f"incoming/{self.key}.csv.gz.age",
            version_id=f"v{self.version}",
            size=1,
            sequencer=self.sequencer,
            event_time=f"2026-05-01T00:00:{self.second:02}Z",
            received_at="2026-05-01T00:01:00Z",
            message_id="m",
        )

    def bring(self, bench: Bench) -> Told:
        """To the loader; returns what it says."""
        settled = self.settle(bench)
        return settled.verdict, settled.status, settled.error_code

    def settle(self, bench: Bench) -> Settlement:
        """To the loader; returns all that it says."""
        problem = None
        if self.found is not None:
            retry = self.found is ErrorCode.STORAGE_UNAVAILABLE
            problem = Problem(error_code=self.found, message="what happened", retry=retry)
        return bench.settle(self.file, None if problem else self.content, self.declared, problem)


A, B, BAD = "id,v\n1,a\n2,a\n", "id,v\n1,b\n", "id,v\n1,a,too much\n"
ORDERED = ("daily/9", "daily/10", "daily/x", "counted/a", "counted/b")
_deliveries = st.builds(
    Delivery,
    st.sampled_from(("log/a", "log/b", "stock/a", "stock/b", "whole/a", "whole/b", "test/stock/a", "nowhere/a", *ORDERED)),
    st.integers(1, 4),
    st.sampled_from((A, B, A, B, BAD)),
    st.sampled_from(("", "1", "10", "100", "2", "0A", "B")),
    st.integers(0, 3),
    st.sampled_from((None, None, None, None, ErrorCode.CIPHERTEXT_CORRUPT, ErrorCode.STORAGE_UNAVAILABLE)),
    st.sampled_from((1, 2, 9, 10, None)),
)


def _part(table: str, group: str, part: int, version: int = 1, *, letter: str = "a", found: ErrorCode | None = None) -> Delivery:
    content = BAD if letter == "?" else f"id,v\n{part},{letter}\n"
    return Delivery(f"{table}/{group}-{part}", version, content, str(version), version, found, 1, (group, part, 2))


_parts = st.builds(
    _part,
    st.sampled_from(("log", "log", "stock", "whole")),
    st.sampled_from("gh"),
    st.sampled_from((1, 2)),
    st.sampled_from((1, 1, 2)),
    letter=st.sampled_from("aaab?"),
    found=st.sampled_from((*[None] * 6, ErrorCode.CIPHERTEXT_CORRUPT, ErrorCode.SIGNATURE_INVALID)),
)
histories = st.one_of(st.lists(each, min_size=1, max_size=8) for each in (_deliveries, _parts, st.one_of(_deliveries, _parts)))


def told(bench: Bench, history: list[Delivery]) -> list[Any]:
    """Everything that a history makes of a bench, to be compared with another's."""
    # What the fake does not know: sentences, lines, and what became of each row.
    rows = {"inserted", "updated", "unchanged", "deleted"}
    said = {"error": True, "receipt": {"error": True, "committed_at": True, "bad_lines": True, "rows": rows}}
    answers = [delivery.settle(bench).model_dump(exclude=said) for delivery in history]
    return [answers, bench.ledger(), {table: bench.rows(table) for table in TABLES}, bench.marks()]


def compared(examples: int) -> settings:
    """Settings for comparing histories: always the same ones."""
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))


def _of(key: str) -> Callable[..., Delivery]:
    return lambda version, content, sequencer="", second=0: Delivery(key, version, content, sequencer, second)


def test_a_settled_file_stays_as_it_is(bench: Bench) -> None:
    first = _of("stock/a")(1, A)
    assert [first.bring(bench), replace(first, content=B).bring(bench)] == [("done", "loaded", None)] * 2
    assert bench.rows("stock") == [("1", "a"), ("2", "a")]
    assert [row[4] for row in bench.ledger()] == [1]


def test_a_loaded_file_whose_object_is_gone_is_known_however_its_key_is_spelled(bench: Bench) -> None:
    """Its object may have been deleted after the load; LocalStack's events encode keys, and nobody can look which is meant."""
    assert _of("log/a b")(1, A).bring(bench) == ("done", "loaded", None)
    for key in ("log/a b", "log/a%20b"):
        assert replace(_of(key)(1, A), found=ErrorCode.OBJECT_MISSING).bring(bench) == ("done", "loaded", None)
    assert [row[2:5] for row in bench.ledger()] == [("loaded", None, 1)]
    other = replace(_of("log/a%20b")(2, A), found=ErrorCode.OBJECT_MISSING)
    assert other.bring(bench) == ("rejected", "rejected", "object_missing")


def test_a_rejected_file_loads_once_the_cause_is_mended(bench: Bench) -> None:
    bad = _of("log/a")(1, BAD)
    assert bad.bring(bench) == ("rejected", "rejected", "csv_malformed")
    assert bench.rows("log") == []
    assert replace(bad, content=B).bring(bench) == ("done", "loaded", None)
    assert [(row[2], row[4]) for row in bench.ledger()] == [("loaded", 2)]


def test_a_passing_trouble_does_not_undo_a_rejection(bench: Bench) -> None:
    bad = _of("log/a")(1, BAD)
    bad.bring(bench)
    assert replace(bad, found=ErrorCode.STORAGE_UNAVAILABLE).bring(bench) == ("retry", "failed", "storage_unavailable")
    assert [row[2] for row in bench.ledger()] == ["rejected"]


def test_a_passing_trouble_is_noted_and_forgotten(bench: Bench) -> None:
    file = _of("log/a")(1, A)
    replace(file, found=ErrorCode.STORAGE_UNAVAILABLE).bring(bench)
    assert [row[2:4] for row in bench.ledger()] == [("failed", "storage_unavailable")]
    assert file.bring(bench) == ("done", "loaded", None)
    assert [row[2:4] for row in bench.ledger()] == [("loaded", None)]


def test_a_shorter_sequencer_is_padded(bench: Bench) -> None:
    stock = _of("stock/a")
    assert stock(1, A, "1", 2).bring(bench)[1] == "loaded"
    assert stock(2, B, "0F3", 3).bring(bench)[1] == "superseded"
    assert stock(3, B, "100", 1).bring(bench)[1] == "superseded", "the same sequencer, and earlier"
    assert stock(4, B, "11", 0).bring(bench)[1] == "loaded"


def test_the_latest_version_of_a_key_is_what_counts(bench: Bench) -> None:
    log = _of("log/a")
    ends = [log(n, content, str(n)).bring(bench)[1] for n, content in enumerate((A, B, A, A), 1)]
    assert ends == ["loaded", "loaded", "loaded", "duplicate"]
    assert bench.rows("log") == [("1", "a"), ("1", "a"), ("1", "b"), ("2", "a"), ("2", "a")]


def test_the_same_content_under_another_key_is_a_duplicate(bench: Bench) -> None:
    assert [_of(key)(1, A).bring(bench)[1] for key in ("log/a", "log/b", "stock/a")] == ["loaded", "duplicate", "loaded"]


def test_a_whole_table_is_the_newest_file(bench: Bench) -> None:
    assert [_of(f"whole/{key}")(1, c, "", s).bring(bench)[1] for key, c, s in (("b", A, 1), ("a", B, 3), ("c", A, 2))] == [
        "loaded",
        "loaded",
        "superseded",
    ]
    assert bench.rows("whole") == [("1", "b")]


def test_a_whole_table_is_the_file_of_the_latest_day(bench: Bench) -> None:
    """Numbers are compared as numbers, whenever they come; of one day, the later version wins."""
    days = [_of(f"daily/{day}")(n, c, "", s).bring(bench)[1] for n, (day, c, s) in enumerate((("9", A, 9), ("10", B, 1), ("9", B, 10)))]
    assert days == ["loaded", "loaded", "superseded"]
    assert _of("daily/010")(1, A, "", 0).bring(bench)[1] == "superseded", "the same number, and earlier"
    assert _of("daily/10")(4, A, "", 2).bring(bench)[1] == "loaded"
    assert _of("daily/11-a")(1, B, "", 0).bring(bench)[1] == "loaded"
    assert _of("daily/11-B")(1, A, "", 3).bring(bench)[1] == "superseded", "texts are compared by their bytes"
    assert bench.rows("daily") == [("1", "b")]


def test_a_whole_table_is_the_file_of_its_senders_highest_number(bench: Bench) -> None:
    files = [replace(_of(f"counted/{key}")(n, c, "", 9 - n), seq=n) for key, c, n in (("a", A, 2), ("b", B, 3), ("c", A, 1))]
    assert [file.bring(bench)[1] for file in files] == ["loaded", "loaded", "superseded"]
    assert replace(files[1], seq=2, version=9).bring(bench)[1] == "superseded", "an older number under a key that was loaded since"
    assert bench.rows("counted") == [("1", "b")]


def test_a_number_that_was_used_or_is_missing_is_refused(bench: Bench) -> None:
    first = replace(_of("counted/a")(1, A), seq=7)
    assert first.bring(bench)[1] == "loaded"
    assert replace(first, version=2, content=B, second=5).bring(bench) == ("rejected", "rejected", "seq_repeated")
    assert replace(first, version=3, second=5).bring(bench)[1] == "duplicate", "the same file once more"
    assert replace(first, version=4, seq=None).bring(bench) == ("rejected", "rejected", "seq_missing")
    assert bench.rows("counted") == [("1", "a"), ("2", "a")]


def test_a_dry_run_leaves_nothing_but_its_row(bench: Bench) -> None:
    assert _of("test/stock/a")(1, A).bring(bench) == ("done", "tested", None)
    assert (bench.rows("stock"), bench.marks()) == ([], [])


def test_a_group_is_loaded_with_its_last_part_which_names_the_others(bench: Bench) -> None:
    one, two = (_part("log", "g", part) for part in (1, 2))
    assert one.bring(bench) == ("done", "staged", None)
    assert bench.rows("log") == []
    for _ in range(2):
        last = two.settle(bench)
        assert (last.status, [each.key for each in last.siblings]) == ("loaded", [one.file.key])
    assert one.settle(bench).siblings == ()
    assert bench.rows("log") == [("1", "a"), ("2", "a")]
    assert [(row[2], row[-1]) for row in bench.ledger()] == [("loaded", 1), ("loaded", 2)]


def test_a_part_that_is_rejected_rejects_its_group(bench: Bench) -> None:
    one, two = (_part("log", "g", part) for part in (1, 2))
    one.bring(bench)
    assert replace(two, found=ErrorCode.CIPHERTEXT_CORRUPT).bring(bench) == ("rejected", "rejected", "ciphertext_corrupt")
    assert [row[2:4] for row in bench.ledger()] == [("rejected", "group_rejected"), ("rejected", "ciphertext_corrupt")]
    assert two.bring(bench) == ("rejected", "rejected", "group_rejected")
    assert bench.rows("log") == []


def test_a_table_that_is_not_there(bench: Bench) -> None:
    assert _of("nowhere/a")(1, A).bring(bench) == ("rejected", "rejected", "table_unknown")


def test_a_watermark_only_moves_forward(bench: Bench) -> None:
    _of("log/a")(1, A, "", 3).bring(bench)
    _of("log/b")(1, B, "", 1).bring(bench)
    assert bench.marks() == [("log", "2026-05-01T00:00:03.000Z", "incoming/log/a.csv.gz.age")]
