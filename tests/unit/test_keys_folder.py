"""The keyring's files: which there are, a new one, one that is moved away."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hikyaku.app import app
from hikyaku.errors import UserError
from hikyaku.operator import places
from hikyaku.operator.keys import change, keyring
from hikyaku.setup.identity import new

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "identities"
    made.mkdir(mode=0o700)
    return made


def put(folder: Path, name: str, text: str | None = None) -> Path:
    path = folder / name
    path.write_text(new() if text is None else text)
    path.chmod(0o600)
    return path


def names(folder: Path) -> list[str]:
    return [key.name for key in keyring.read(folder)]


def test_what_the_decryptor_ignores_is_none(folder: Path) -> None:
    put(folder, "2026.txt")
    put(folder, ".2027.txt.new")
    put(folder, "2026.pub")
    assert names(folder) == ["2026"]
    assert keyring.read(folder / "none") == []


def test_a_key_is_as_old_as_it_says(folder: Path) -> None:
    late = put(folder, "a.txt", "# created: 2026-02-01T09:00:00+09:00\n" + new().partition("\n")[2])
    early = put(folder, "b.txt", new().partition("\n")[2])
    os.utime(early, (0, 0))
    wrong = put(folder, "c.txt", "# created: yesterday\n" + new().partition("\n")[2])
    os.utime(wrong, (86400, 86400))
    found = {key.path: key.since for key in keyring.read(folder)}
    assert found[late] == datetime(2026, 2, 1, tzinfo=UTC)
    assert found[wrong] == datetime(1970, 1, 2, tzinfo=UTC)
    assert names(folder) == ["b", "c", "a"]


def test_several_keys_of_one_file_and_one_of_openssh(folder: Path) -> None:
    put(folder, "two.txt", new() + new())
    put(folder, "ssh", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    put(folder, "none.txt", "# empty\n")
    found = {key.name: (len(key.recipients), bool(key.problem)) for key in keyring.read(folder)}
    assert found == {"two": (2, False), "ssh": (0, False), "none": (0, True)}


def test_a_name_is_todays_unless_it_is_taken(folder: Path) -> None:
    for expected in ("2026-11-26", "2026-11-26-2", "2026-11-26-3"):
        assert change.free_name(keyring.read(folder), NOW) == expected
        put(folder, f"{expected}.txt")


def found(folder: Path) -> places.Places:
    return places.look(None, {"HIKYAKU_IDENTITIES_DIR": str(folder)})


def test_a_new_identity_is_its_owners_alone(folder: Path) -> None:
    path, recipient = change.make(found(folder), folder, "2027")
    [key] = keyring.read(folder)
    assert (key.path, key.recipients, key.mode, key.owner) == (path, (recipient,), 0o600, folder.stat().st_uid)
    assert [each.name for each in folder.iterdir()] == ["2027.txt"]


def test_a_new_identity_replaces_none(folder: Path) -> None:
    text = put(folder, "2027.txt").read_text()
    with pytest.raises(UserError, match="changed by someone else"):
        change.make(found(folder), folder, "2027")
    assert (folder / "2027.txt").read_text() == text


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a.txt", "a\nb"])
def test_names_that_are_none(folder: Path, name: str) -> None:
    with pytest.raises(UserError, match="is no name for an identity"):
        change.make(found(folder), folder, name)


def test_on_a_host_it_belongs_to_the_decryptor(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").touch()
    folder = tmp_path / "secrets" / "decryptor" / "identities"
    folder.mkdir(parents=True)
    here = places.look(tmp_path, {})
    assert (here.identities, here.retired) == (folder, tmp_path / "secrets" / "retired")
    if os.geteuid() == 0:
        path, _ = change.make(here, folder, "2027")
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (10001, 0o600)
    else:
        with pytest.raises(UserError, match="belongs to user 10001"):
            change.make(here, folder, "2027")


def test_what_is_retired_is_moved_as_it_is(folder: Path) -> None:
    path = put(folder, "2026.txt")
    before = path.read_text()
    [key] = keyring.read(folder)
    moved = change.retire(key, folder.parent / "retired")
    assert (moved.read_text(), stat.S_IMODE(moved.stat().st_mode), path.exists()) == (before, 0o600, False)
    assert stat.S_IMODE(moved.parent.stat().st_mode) == 0o700


def test_what_was_retired_before_stays(folder: Path) -> None:
    put(folder, "2026.txt")
    (folder.parent / "retired").mkdir()
    other = put(folder.parent / "retired", "2026.txt").read_text()
    [key] = keyring.read(folder)
    with pytest.raises(UserError, match="is there already"):
        change.retire(key, folder.parent / "retired")
    assert names(folder) == ["2026"]
    assert (folder.parent / "retired" / "2026.txt").read_text() == other


def test_a_move_that_was_cut_short_is_finished(folder: Path) -> None:
    path = put(folder, "2026.txt")
    (folder.parent / "retired").mkdir()
    os.link(path, folder.parent / "retired" / "2026.txt")
    [key] = keyring.read(folder)
    assert change.retire(key, folder.parent / "retired").exists()
    assert names(folder) == []


def run(folder: Path, *arguments: str) -> object:
    environment = {
        "HIKYAKU_IDENTITIES_DIR": str(folder),
        "HIKYAKU_DATABASE_URL": "postgresql://127.0.0.1:9/none",
        "HIKYAKU_BUCKET": "b",
    }
    return CliRunner().invoke(app, ["keys", *arguments], env=environment).exception


def test_the_only_identity_is_not_retired(folder: Path) -> None:
    put(folder, "2026.txt")
    put(folder, "broken.txt", "nothing")
    error = run(folder, "retire", "2026", "--force", "--yes")
    assert isinstance(error, UserError)
    assert "the only identity" in error.message


def test_an_identity_that_is_not_there_is_named_with_those_that_are(folder: Path) -> None:
    put(folder, "2026.txt")
    error = run(folder, "retire", "2025", "--yes")
    assert isinstance(error, UserError)
    assert ("2025" in error.message, error.hint, error.exit_code) == (True, "There are: 2026.", 2)


def test_a_keyring_that_is_not_seen_from_here(tmp_path: Path) -> None:
    error = run(tmp_path / "none", "rotate", "--yes")
    assert isinstance(error, UserError)
    assert error.exit_code == 2
