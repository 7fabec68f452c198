"""Writing as root where others own the folders."""

import os
import stat
from pathlib import Path

import pytest

from hikyaku.errors import UserError
from hikyaku.setup import files
from hikyaku.setup.files import Place, Rights

PRIVATE = Rights(10_001, 10_001, mode=0o600, needed=0o400, allowed=0o600)
FOLDER = Rights(10_001, 10_001, mode=0o700, needed=0o700, allowed=0o700)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A file's place in a folder of its own."""
    (tmp_path / "folder").mkdir()
    return Place(tmp_path, ("folder", "file"))


def rights(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return stat.S_IMODE(found.st_mode), found.st_uid


def test_a_new_file_has_its_rights_and_leaves_nothing_beside_it(place: Place, tmp_path: Path) -> None:
    files.create(place, b"x", PRIVATE)
    path = tmp_path / "folder" / "file"
    assert path.read_bytes() == b"x"
    assert rights(path) == (0o600, 10_001)
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_what_a_killed_run_left_is_replaced(place: Place, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "folder" / ".file.new").symlink_to(victim)
    files.create(place, b"x", PRIVATE)
    assert victim.read_text() == "precious"
    assert [each.name for each in (tmp_path / "folder").iterdir()] == ["file"]


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_nothing_that_is_there_is_overwritten(place: Place, tmp_path: Path, kind: str) -> None:
    path, victim = tmp_path / "folder" / "file", tmp_path / "victim"
    victim.write_text("precious")
    {"file": lambda: path.write_text("old"), "link": lambda: path.symlink_to(victim), "folder": path.mkdir}[kind]()
    before = path.lstat()
    with pytest.raises(UserError, match="changed by someone else"):
        files.create(place, b"x", PRIVATE)
    assert os.path.samestat(path.lstat(), before)
    assert victim.read_text() == "precious"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_a_link_in_a_folders_place_is_refused_by_everything(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("theirs")
    (tmp_path / "folder").symlink_to(outside)
    inside = Place(tmp_path, ("folder", "file"))
    for act in (
        lambda: files.create(inside, b"x", PRIVATE),
        lambda: files.read(inside),
        lambda: files.status(inside),
        lambda: files.mend(inside, PRIVATE),
        lambda: files.names(Place(tmp_path, ("folder",))),
        lambda: files.mend(Place(tmp_path, ("folder",)), FOLDER),
        lambda: files.make_folder(Place(tmp_path, ("folder",)), FOLDER),
        lambda: files.make_folder(Place(tmp_path, ("folder", "new")), FOLDER),
        lambda: files.folder_status(Place(tmp_path, ("folder",))),
    ):
        with pytest.raises(UserError, match="a link"):
            act()
    assert rights(outside / "file")[1] == 0
    assert rights(outside)[1] == 0
    assert [each.name for each in outside.iterdir()] == ["file"]


def test_a_links_target_is_neither_read_nor_given_away(place: Place, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "folder" / "file").symlink_to(victim)
    with pytest.raises(UserError, match="a link"):
        files.read(place)
    with pytest.raises(UserError, match="a link"):
        files.mend(place, PRIVATE)
    assert rights(victim)[1] == 0


def test_a_hard_link_is_not_given_away(place: Place, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    os.link(victim, tmp_path / "folder" / "file")
    with pytest.raises(UserError, match="hard link"):
        files.mend(place, PRIVATE)
    assert rights(victim)[1] == 0


def test_a_pipe_does_not_hold_it_up(place: Place, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "folder" / "file")
    with pytest.raises(UserError, match="neither a file nor a folder"):
        files.read(place)


@pytest.mark.parametrize(
    ("mode", "uid", "problem", "after"),
    [
        (0o600, 10_001, "", 0o600),
        (0o400, 10_001, "", 0o400),
        (0o644, 10_001, "mode 0644, not 0600", 0o600),
        (0o200, 10_001, "mode 0200, not 0600", 0o600),
        (0o4600, 10_001, "mode 4600, not 0600", 0o600),
        (0o600, 0, "owner 0, not 10001", 0o600),
        (0o640, 999, "owner 999, not 10001, mode 0640, not 0600", 0o600),
    ],
)
def test_wrong_rights_are_told_and_mended(place: Place, mode: int, uid: int, problem: str, after: int) -> None:
    path = Path(str(place))
    path.write_text("content")
    os.chown(path, uid, uid)
    path.chmod(mode)
    assert PRIVATE.problem(path.stat()) == problem
    files.mend(place, PRIVATE)
    assert rights(path) == (after, 10_001)
    assert PRIVATE.problem(path.stat()) == ""
    assert path.read_text() == "content"


def test_another_content_keeps_owner_and_mode(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    path.write_text("old")
    os.chown(path, 1234, 1235)
    path.chmod(0o640)
    files.replace(place, b"new")
    assert path.read_bytes() == b"new"
    assert rights(path) == (0o640, 1234)
    assert path.stat().st_gid == 1235


def test_what_an_editor_saved_meanwhile_is_kept(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "file"
    path.write_text("old")
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        (tmp_path / "edited").write_text("edited")
        (tmp_path / "edited").replace(path)
        monkeypatch.setattr(os, "fsync", real)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UserError, match="changed by someone else"):
        files.replace(place, b"new")
    assert path.read_text() == "edited"


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    missing = Place(tmp_path, ("a", "b", "c"))
    assert files.read(missing) is None
    assert files.status(missing) is None
    assert files.names(missing) == []


def test_a_folder_that_another_run_made_a_moment_ago_will_do(tmp_path: Path) -> None:
    place = Place(tmp_path, ("folder",))
    files.make_folder(place, FOLDER)
    (tmp_path / "folder" / "file").touch()
    files.make_folder(place, FOLDER)
    assert rights(tmp_path / "folder") == (0o700, 10_001)
    assert (tmp_path / "folder" / "file").exists()


def test_a_file_that_is_gone_is_not_replaced(place: Place) -> None:
    with pytest.raises(UserError, match="is gone"):
        files.replace(place, b"x")


def test_a_missing_root_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        files.make_folder(Place(tmp_path / "missing", ("folder",)), FOLDER)


def test_a_refusal_of_the_system_is_a_sentence(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fchown(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", fchown)
    with pytest.raises(UserError, match=r"folder/file: Operation not permitted\.$"):
        files.create(place, b"x", PRIVATE)
