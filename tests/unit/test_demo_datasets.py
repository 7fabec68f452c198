"""The demo's entries in datasets.toml: added once, and never over somebody's own."""

import errno
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hikyaku.demo.datasets import ensure_datasets
from hikyaku.errors import UserError

OURS = Path(__file__).parents[2] / "demo" / "datasets.toml"
HEAD = '[defaults]\nsignature = "if_present"\n'


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = tmp_path / "datasets.toml"
    path.write_text(HEAD, encoding="utf-8")
    return path


def entries(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))["datasets"]
    return found


@pytest.mark.parametrize("text", [HEAD, HEAD.rstrip(), ""])
def test_what_is_lacking_is_added_once(theirs: Path, text: str) -> None:
    theirs.write_text(text, encoding="utf-8")
    ensure_datasets(theirs, OURS)
    assert entries(theirs) == entries(OURS)
    added = theirs.read_text(encoding="utf-8")
    assert added.startswith(text)
    assert "\n\n\n" not in added
    ensure_datasets(theirs, OURS)
    assert theirs.read_text(encoding="utf-8") == added


def test_only_what_is_lacking_is_added(theirs: Path) -> None:
    _, postal_codes = OURS.read_text(encoding="utf-8").split("\n\n")
    theirs.write_text(f"{HEAD}\n{postal_codes}", encoding="utf-8")
    ensure_datasets(theirs, OURS)
    assert entries(theirs) == entries(OURS)


def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a read-only mount does, for root too."""
    original = Path.open

    def open_to_read(self: Path, mode: str = "r", **more: Any) -> Any:
        if mode != "r":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
        return original(self, mode, **more)

    monkeypatch.setattr(Path, "open", open_to_read)


def test_other_words_for_the_same_need_no_writing(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in OURS.read_text(encoding="utf-8").replace('= "', "='").replace('"\n', "'\n").splitlines() if "#" not in line]
    theirs.write_text("\n".join(lines) + f"\n{HEAD}", encoding="utf-8")
    assert entries(theirs) == entries(OURS)
    refusing(monkeypatch)
    ensure_datasets(theirs, OURS)


def test_a_file_that_can_not_be_written_is_told_in_a_sentence(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch)
    with pytest.raises(UserError) as raised:
        ensure_datasets(theirs, OURS)
    first, second = raised.value.lines()
    assert first == f"hikyaku: {theirs} lacks the demo's datasets and can't be written: Read-only file system."
    assert str(OURS) in second
    assert "config/datasets.toml" in second


def test_somebodys_own_entry_of_that_name_stays(theirs: Path) -> None:
    theirs.write_text('[datasets.offices]\nmode = "append"\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"another \[datasets.offices\]"):
        ensure_datasets(theirs, OURS)
    assert theirs.read_text(encoding="utf-8") == '[datasets.offices]\nmode = "append"\n'


def test_a_broken_or_missing_file_is_told_in_a_sentence(theirs: Path) -> None:
    theirs.write_text("[datasets", encoding="utf-8")
    with pytest.raises(UserError, match="no valid TOML"):
        ensure_datasets(theirs, OURS)
    theirs.unlink()
    with pytest.raises(UserError, match="can't be read: No such file"):
        ensure_datasets(theirs, OURS)
