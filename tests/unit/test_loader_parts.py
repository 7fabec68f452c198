"""The loader's parts that need no database."""

import gzip
import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from fakes.line import file_ref, problem
from loader import sqlstate, tasks
from loader.app import build_app
from loader.ledger import Outcome, watermark
from loader.settings import LoaderSettings
from loader.source import CHUNK, Source
from shared import protocol
from shared.contract import (
    PAYLOAD_VERSION,
    AfterLoad,
    Decrypted,
    DecryptedParcel,
    FileRef,
    SettledParcel,
    Settlement,
    TaskName,
    UnknownPayloadError,
    Verdict,
)
from shared.datasets import Dataset
from shared.errors import ErrorCode, Rejected, Retryable
from shared.protocol import FileStatus


def test_a_source_is_hashed_counted_and_cut_into_bounded_pieces(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "f").write_bytes(gzip.compress(data[:1000]) + gzip.compress(data[1000:]))
    source = Source(tmp_path / "f", 10**9, 1000)
    chunks = list(source.chunks())
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= CHUNK
    assert (source.size, source.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize(("max_bytes", "passes"), [(1000, True), (999, False)])
def test_the_cap_on_bytes_is_exact(tmp_path: Path, max_bytes: int, passes: bool) -> None:
    (tmp_path / "f").write_bytes(gzip.compress(b"x" * 1000))
    source = Source(tmp_path / "f", max_bytes, 2)
    if passes:
        assert sum(map(len, source.chunks())) == 1000
    else:
        with pytest.raises(Rejected) as rejected:
            list(source.chunks())
        assert rejected.value.error_code == "too_large"


class Failure(psycopg.Error):
    """An error as a server would send it."""

    def __init__(self, sqlstate: str | None, **diagnostics: str) -> None:
        super().__init__("secret")
        self.sqlstate = sqlstate
        nothing = dict.fromkeys(("context", "column_name", "constraint_name", "source_function"))
        self.said = SimpleNamespace(**(nothing | diagnostics))

    @property
    def diag(self) -> Any:
        return self.said


PLACE = sqlstate.Place("staging", lambda line: line + 2, {"amount": "numeric", "line": "text"})


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ('COPY staging, line 5, column amount: "secret 77"', "line 7, column amount (numeric)"),
        ('COPY staging, line 5: "secret 77, column amount: 3"', "line 7 "),
        ("COPY staging, line 5, column amount: null input", "line 7, column amount (numeric)"),
        ('stagingのCOPY、5行目、amount列: "secret 77"', "line 7 "),
        ('COPY staging, line 5, column other: "secret"', "line 7 "),
        ('PL/pgSQL function check_it() line 3 at RAISE\nCOPY staging, line 5, column line: "x"', "line 7, column line (text)"),
        ('something else, line 9: "secret"', "the file "),
        (None, "the file "),
    ],
)
def test_an_error_names_the_place_and_nothing_of_the_row(context: str | None, said: str) -> None:
    error = sqlstate.translate(Failure("22P02", context=context), PLACE)
    assert error.message.startswith(said)
    assert "secret" not in error.message
    assert "77" not in error.message


@pytest.mark.parametrize(
    ("code", "root", "expected"),
    [
        ("22P05", Rejected, "encoding_invalid"),
        ("22P04", Rejected, "csv_malformed"),
        ("22023", Rejected, "value_invalid"),
        ("23001", Rejected, "constraint_violated"),
        ("21000", Rejected, "duplicate_keys"),
        ("42P01", Rejected, "table_unknown"),
        ("42501", Rejected, "dataset_invalid"),
        ("40P01", Retryable, "database_unavailable"),
        ("40001", Retryable, "database_unavailable"),
        ("53100", Retryable, "database_unavailable"),
        ("57P01", Retryable, "database_unavailable"),
        ("08006", Retryable, "database_unavailable"),
        ("55P03", Retryable, "timeout"),
        ("57014", Retryable, "timeout"),
        ("XX000", Retryable, "internal_error"),
        (None, Retryable, "internal_error"),
    ],
)
def test_what_an_sqlstate_means(code: str | None, root: type[Exception], expected: str) -> None:
    error = sqlstate.translate(Failure(code))
    assert (type(error), error.error_code) == (root, expected)


def test_a_lost_connection_has_no_sqlstate() -> None:
    assert sqlstate.outage(psycopg.OperationalError("secret")).error_code is ErrorCode.DATABASE_UNAVAILABLE


def test_an_error_of_the_ledger_is_never_the_files_fault() -> None:
    assert sqlstate.outage(Failure("22021")).error_code is ErrorCode.INTERNAL_ERROR
    assert "loader.migrate" in sqlstate.outage(Failure("42P01")).message


@pytest.mark.parametrize(
    ("event_time", "expected"),
    [
        ("2026-05-01T09:00:00+09:00", "2026-05-01T00:00:00.000Z"),
        ("2026-05-01T00:00:00Z", "2026-05-01T00:00:00.000Z"),
        ("2026-05-01T00:00:00.123456Z", "2026-05-01T00:00:00.123Z"),
    ],
)
def test_watermarks_have_one_form(event_time: str, expected: str) -> None:
    assert watermark(event_time) == expected


class FakeLoader:
    """Settles everything as loaded."""

    def settle(self, item: Decrypted) -> Settlement:
        return Settlement(message_id=item.file.message_id, file_id=item.file.file_id, verdict=Verdict.DONE, status="loaded")

    def expire_groups(self) -> None:
        pass


def test_the_task_settles_every_file_of_a_parcel_in_order() -> None:
    times = {"event_time": "2026-05-01T00:00:00Z", "received_at": "2026-05-01T00:00:00Z"}
    files = [FileRef(bucket="b", key=f"k{n}", version_id="v", size=1, message_id=f"m{n}", **times) for n in range(3)]
    parcel = DecryptedParcel(parcel_id="p", items=tuple(Decrypted(file=file) for file in files))
    settled = SettledParcel.read(tasks.load(FakeLoader(), parcel.dump()))  # type: ignore[arg-type]
    assert (settled.parcel_id, [s.message_id for s in settled.settlements]) == ("p", ["m0", "m1", "m2"])


def test_a_newer_payload_is_not_guessed_at() -> None:
    """Its errback hands the message back to SQS."""
    with pytest.raises(UnknownPayloadError):
        tasks.load(FakeLoader(), DecryptedParcel(parcel_id="p", items=()).dump() | {"v": PAYLOAD_VERSION + 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("decrypted", [True, False])
@pytest.mark.parametrize("status", FileStatus)
def test_a_settlement_tells_whether_the_file_was_decrypted_for_it(status: FileStatus, decrypted: bool) -> None:
    """The ledger may know the fate of a file that could not be downloaded."""
    item = Decrypted(file=file_ref(), problem=None if decrypted else problem())
    made = Outcome(status).settlement(item)
    assert (made.status, made.verdict, made.decrypted) == (status, protocol.verdict(status), decrypted)
    assert (made.message_id, made.file_id) == (item.file.message_id, item.file.file_id)


@pytest.mark.parametrize("wish", AfterLoad)
@pytest.mark.parametrize("status", FileStatus)
def test_only_what_was_loaded_is_to_be_tagged_or_deleted(status: FileStatus, wish: AfterLoad) -> None:
    """What is superseded never was: S3 may have the only copy of its rows."""
    made = Outcome(status).settlement(Decrypted(file=file_ref()), Dataset(name="orders", after_load=wish))
    assert made.after_load == (wish if status in {"loaded", "duplicate"} and wish != "keep" else None)
    assert Outcome(status).settlement(Decrypted(file=file_ref()), None).after_load is None


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HIKYAKU_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("HIKYAKU_DATABASE_URL", "postgresql://x@127.0.0.1:1/x")
    monkeypatch.setenv("HIKYAKU_SPOOL_DIR", str(tmp_path))
    monkeypatch.setenv("HIKYAKU_SPOOL_ON_DISK", "allow")
    monkeypatch.setenv("HIKYAKU_DATASETS", str(tmp_path / "datasets.toml"))
    return tmp_path


def test_the_app_has_the_task_and_connects_to_nothing(environment: Path) -> None:
    assert TaskName.LOAD in build_app(LoaderSettings()).tasks


def test_a_broken_datasets_toml_at_start_exits_with_2(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (environment / "datasets.toml").write_text("[datasets.x]\nmode = 'y'\n")
    with pytest.raises(SystemExit) as left:
        build_app(LoaderSettings())
    assert left.value.code == 2
    assert "HIKYAKU_DATASETS: " in capsys.readouterr().err
