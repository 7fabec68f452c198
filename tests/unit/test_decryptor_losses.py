"""A parcel that took its worker process down with it, in the decryptor's task."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from decryptor.keyring import Keyring
from decryptor.tasks import Bench, decrypt_parcel
from fakes.s3 import FakeS3
from fakes.welcome import anyone
from shared import celery_app, losses
from shared.contract import DecryptedParcel, FileRef, Parcel, Problem


def ref(name: str, message_id: str) -> FileRef:
    times = {"event_time": "2026-11-12T00:00:00Z", "received_at": "2026-11-12T00:00:01Z"}
    said = {"bucket": "b", "key": f"elsewhere/{name}", "version_id": "v", "size": 1, "message_id": message_id}
    return FileRef.model_validate(said | times)


A, B = ref("a.csv.gz.gpg", "m1"), ref("b.csv.gz.gpg", "m2")


def outcome(tmp_path: Path, files: tuple[FileRef, ...], lost: int) -> list[tuple[str, bool] | None]:
    bench = Bench(FakeS3, Keyring(tmp_path), tmp_path, anyone(tmp_path / "datasets.toml"), lambda _: None)
    data = decrypt_parcel(bench, Parcel(parcel_id="p", files=files).dump(), lost)
    return [item.problem and (item.problem.error_code, item.problem.retry) for item in DecryptedParcel.read(data).items]


UNTOUCHED: Any = None
"""Whoever needs anything of the bench fails."""
TRIED = ("dataset_invalid", False)


@pytest.mark.parametrize("lost", range(celery_app.CHILD_LOSSES + 1))
def test_a_file_is_tried_three_times(tmp_path: Path, lost: int) -> None:
    assert outcome(tmp_path, (A,), lost) == [TRIED]


def test_and_then_it_is_its_own_fault(tmp_path: Path) -> None:
    assert losses.TRIES == 3
    assert outcome(tmp_path, (A,), losses.TRIES) == [("crashed", False)]


def test_files_of_several_messages_are_parted_at_once(tmp_path: Path) -> None:
    assert outcome(tmp_path, (A, B), 0) == [TRIED, TRIED]
    for lost in (1, losses.TRIES):
        assert outcome(tmp_path, (A, B), lost) == [("crashed", True)] * 2


def test_files_of_one_message_share_its_fate(tmp_path: Path) -> None:
    both = (A, ref("b.csv.gz.gpg", "m1"))
    assert outcome(tmp_path, both, 1) == [TRIED, TRIED]
    assert outcome(tmp_path, both, losses.TRIES) == [("crashed", False)] * 2


def test_what_the_poller_has_given_up_is_not_tried(tmp_path: Path) -> None:
    problem = Problem(error_code="timeout", message="three times", retry=True)
    data = decrypt_parcel(UNTOUCHED, Parcel(parcel_id="p", files=(A,), problem=problem).dump(), 0)
    assert [item.problem for item in DecryptedParcel.read(data).items] == [problem]


@pytest.mark.parametrize(("raised", "fate"), [("MemoryError", -signal.SIGKILL), ("ValueError", 1)])
def test_a_process_that_is_out_of_memory_dies(raised: str, fate: int) -> None:
    """Raised in a task, Celery would stop the whole worker for it."""
    code = f"from shared import losses\nwith losses.deadly_memory_error():\n    raise {raised}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == fate
    assert ("out of memory" in done.stderr) is (fate < 0)
