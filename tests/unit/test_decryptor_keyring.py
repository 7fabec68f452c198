import base64
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest
from structlog.testing import capture_logs

from decryptor.keyring import Keyring
from hikyaku.setup.layout import file_rights

AGE_KEY = "AGE-SECRET-KEY-1"


def age_key() -> str:
    return str(pyrage.x25519.Identity.generate())


def write(directory: Path, name: str, text: str | None = None, mode: int = 0o600) -> Path:
    path = directory / name
    path.touch()
    path.write_text(age_key() if text is None else text)
    path.chmod(mode)
    return path


def ssh_key(directory: Path, name: str, kind: str = "ed25519", passphrase: str = "") -> Path:
    path = directory / name
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "ssh-ed25519", "-f", str(path)], check=True)
    return path


def read(directory: Path) -> Keyring:
    keyring = Keyring(directory)
    keyring.refresh()
    return keyring


def names(keyring: Keyring) -> list[str]:
    return [identity.name for identity in keyring.identities]


def test_what_age_keygen_writes_is_read(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    write(tmp_path, "courier.txt", f"# created: 2026-11-12T00:00:00Z\n# public key: {identity.to_public()}\n{identity}\n")
    keyring = read(tmp_path)
    assert (names(keyring), keyring.problems) == (["courier"], ())
    assert pyrage.decrypt(pyrage.encrypt(b"x", [identity.to_public()]), keyring.identities[0].keys) == b"x"


def test_several_keys_of_one_file_are_one_identity(tmp_path: Path) -> None:
    write(tmp_path, "courier", f"{age_key()}\r\n\r\n  {age_key()}  \r\n")
    [identity] = read(tmp_path).identities
    assert len(identity.keys) == 2


def test_an_ed25519_ssh_key_is_read(tmp_path: Path) -> None:
    path = ssh_key(tmp_path, "id_ed25519")
    keyring = read(tmp_path)
    assert (names(keyring), keyring.problems) == (["id_ed25519"], ())
    recipient = pyrage.ssh.Recipient.from_str(path.with_suffix(".pub").read_text())
    assert pyrage.decrypt(pyrage.encrypt(b"x", [recipient]), keyring.identities[0].keys) == b"x"


def test_hidden_files_and_public_keys_are_ignored(tmp_path: Path) -> None:
    write(tmp_path, "courier.txt")
    write(tmp_path, ".courier.txt.swp", "half a key", 0o644)
    write(tmp_path, "courier.pub", "age1...", 0o644)
    keyring = read(tmp_path)
    assert (names(keyring), keyring.problems) == (["courier"], ())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o660, 0o777])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, "courier.txt", mode=mode)
    keyring = read(tmp_path)
    assert keyring.identities == ()
    assert keyring.problems == (f"{path}: mode {mode:04o} lets others than its owner use it: chmod 600 {path}",)


def test_the_command_that_mends_a_mode_can_be_pasted(tmp_path: Path) -> None:
    path = write(tmp_path, "our key's.txt", mode=0o644)
    [problem] = read(tmp_path).problems
    command = problem.rpartition(": ")[2]
    subprocess.run(["sh", "-c", command], check=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(read(tmp_path)) == ["our key's"]


@pytest.mark.parametrize("mode", [file_rights("decryptor/identities").mode, file_rights("decryptor/identities").needed])
def test_the_modes_that_setup_gives_or_leaves_are_right(tmp_path: Path, mode: int) -> None:
    write(tmp_path, "courier.txt", mode=mode)
    assert read(tmp_path).problems == ()


@pytest.mark.parametrize(("mine", "owner", "good"), [(10001, 10001, True), (10001, 0, True), (10001, 1000, False), (0, 1000, False)])
def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: int, owner: int, good: bool) -> None:
    path = write(tmp_path, "courier.txt")
    found = path.stat()

    def stat_of_another(each: Path, **_: object) -> os.stat_result:
        return os.stat_result((*found[:4], owner, *found[5:]), {"st_mtime_ns": 0}) if each == path else real(each)

    real = Path.stat
    monkeypatch.setattr(Path, "stat", stat_of_another)
    monkeypatch.setattr(os, "geteuid", lambda: mine)
    wrong = f"{path}: belongs to user {owner}, who may read and replace it: chown {mine} {path}"
    assert read(tmp_path).problems == (() if good else (wrong,))


BAD = {
    "empty": ("", "holds no key"),
    "only comments": ("# nothing\n", "holds no key"),
    "recipient": ("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", "line 1 is not"),
    "post-quantum": ("# pq\nAGE-SECRET-KEY-PQ-1HZLGZUPT4ETP", "line 2 is not"),
    "damaged": (f"{AGE_KEY}QQQQ", "line 1 is a damaged"),
    "second damaged": (f"{age_key()}\n{AGE_KEY}QQQQ", "line 2 is a damaged"),
    "passphrase-protected": ("age-encryption.org/v1\n-> scrypt x 18\n", "is protected by a passphrase, and nobody"),
    "passphrase-protected, armored": ("\n-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n", "is protected by a passphrase, and nobody"),
    "Japanese": ("秘密", "is neither"),
    "PEM": ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "is a key in PEM, as of RSA: make an ed25519 key"),
    "damaged ssh": ("-----BEGIN OPENSSH PRIVATE KEY-----\nAA=A\n-----END OPENSSH PRIVATE KEY-----\n", "is a damaged OpenSSH"),
}


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=BAD.keys())
def test_a_file_without_usable_keys_is_a_problem_and_never_quoted(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path, "bad.txt", text)
    write(tmp_path, "good.txt")
    keyring = read(tmp_path)
    assert names(keyring) == ["good"]
    [problem] = keyring.problems
    assert problem.startswith(f"{path}: {reason}")
    assert "QQQQ" not in problem


@pytest.mark.parametrize(
    ("kind", "passphrase", "why"),
    [
        ("rsa", "", "is a key of another kind (ssh-rsa): make an ed25519 key (ssh-keygen -t ed25519) or an age identity (age-keygen)"),
        ("ecdsa", "", "is a key of another kind (ecdsa-sha2-nistp256): make an ed25519 key"),
        ("ed25519", "secret", "is protected by a passphrase, and nobody is there to type it: take it off with ssh-keygen -p"),
        ("rsa", "secret", "is protected by a passphrase"),
    ],
)
def test_other_ssh_keys_are_refused(tmp_path: Path, kind: str, passphrase: str, why: str) -> None:
    path = ssh_key(tmp_path, "id", kind, passphrase)
    [problem] = read(tmp_path).problems
    assert problem.startswith(f"{path}: {why}")


def test_an_ssh_key_that_is_cut_is_damaged(tmp_path: Path) -> None:
    path = ssh_key(tmp_path, "id")
    begin, *body, end = path.read_text().splitlines()
    key = base64.b64decode("".join(body))
    for length in range(0, len(key), 7):
        path.write_text("\n".join([begin, base64.b64encode(key[:length]).decode(), end]))
        assert read(tmp_path).problems == (f"{path}: is a damaged OpenSSH private key",), length


def test_a_damaged_ssh_key_is_never_quoted(tmp_path: Path) -> None:
    """Where a length is damaged, what passes for the kind of the key may be the key."""

    def text(data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + data

    head = b"openssh-key-v1\0" + text(b"none") + text(b"none") + text(b"") + (1).to_bytes(4, "big")
    key = base64.b64encode(head + text(text(b"the secret itself") + text(bytes(32)))).decode()
    path = write(tmp_path, "id", f"-----BEGIN OPENSSH PRIVATE KEY-----\n{key}\n-----END OPENSSH PRIVATE KEY-----\n")
    assert read(tmp_path).problems == (f"{path}: is a damaged OpenSSH private key",)


def test_every_damaged_byte_of_an_ssh_key_is_survived_and_nothing_of_the_file_told(tmp_path: Path) -> None:
    path = ssh_key(tmp_path, "id")
    begin, *body, end = path.read_text().splitlines()
    key = bytearray(base64.b64decode("".join(body)))
    told = set()
    for offset in range(len(key)):
        key[offset] ^= 0x41
        path.write_text("\n".join([begin, base64.b64encode(key).decode(), end, ""]))
        told.update(read(tmp_path).problems)
        key[offset] ^= 0x41
    assert {problem.removeprefix(f"{path}: is ").split(":")[0] for problem in told} <= {
        "a damaged OpenSSH private key",
        "protected by a passphrase, and nobody is there to type it",
    }


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "courier.txt")
    write(tmp_path, "courier.old")
    keyring = read(tmp_path)
    assert keyring.identities == ()
    assert len(keyring.problems) == 2
    assert all("another file is called courier too" in problem for problem in keyring.problems)


def test_a_directory_is_no_identity(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    assert read(tmp_path).problems == (f"{tmp_path / 'keys'}: is not a file",)


def test_an_empty_directory_is_a_problem(tmp_path: Path) -> None:
    assert read(tmp_path).problems == (f"{tmp_path}: holds no identity file",)


def test_a_missing_directory_is_a_problem(tmp_path: Path) -> None:
    assert read(tmp_path / "none").problems == (f"{tmp_path / 'none'}: No such file or directory",)


def test_nothing_is_read_again_while_nothing_changes(tmp_path: Path) -> None:
    write(tmp_path, "courier.txt")
    keyring = read(tmp_path)
    [before] = keyring.identities
    keyring.refresh()
    [after] = keyring.identities
    assert after is before


def test_a_change_is_read_at_the_next_refresh(tmp_path: Path) -> None:
    path = write(tmp_path, "courier.txt")
    keyring = read(tmp_path)
    write(tmp_path, "second.txt")
    keyring.refresh()
    assert names(keyring) == ["courier", "second"]
    path.unlink()
    keyring.refresh()
    assert names(keyring) == ["second"]


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path, "courier.txt")
    keyring = read(tmp_path)
    identity = pyrage.x25519.Identity.generate()
    # Same size and same time, as a restored copy may have.
    found = path.stat()
    replacement = write(tmp_path, ".new", str(identity))
    os.utime(replacement, ns=(found.st_atime_ns, found.st_mtime_ns))
    replacement.replace(path)
    keyring.refresh()
    assert pyrage.decrypt(pyrage.encrypt(b"x", [identity.to_public()]), keyring.identities[0].keys) == b"x"


def half(path: Path) -> None:
    path.write_text(path.read_text()[:40])


@pytest.mark.parametrize("turn_bad", [lambda path: path.chmod(0o644), half], ids=["mode", "half written"])
def test_a_file_that_turns_bad_keeps_the_keys_that_it_had_and_is_logged_once(tmp_path: Path, turn_bad: Callable[[Path], None]) -> None:
    path = write(tmp_path, "courier.txt")
    text = path.read_text()
    write(tmp_path, "second.txt")
    keyring = read(tmp_path)
    before = keyring.identities
    turn_bad(path)
    with capture_logs() as logs:
        keyring.refresh()
        keyring.refresh()
    assert names(keyring) == ["courier", "second"]
    assert keyring.identities[0] is before[0]
    [problem] = keyring.problems
    assert problem.endswith("(the keys that it had are kept)")
    errors = [entry for entry in logs if entry["log_level"] == "error"]
    assert [entry["problem"] for entry in errors] == list(keyring.problems)
    path.chmod(0o600)
    path.write_text(text)
    keyring.refresh()
    assert (names(keyring), keyring.problems) == (["courier", "second"], ())
    turn_bad(path)
    keyring.refresh()
    path.unlink()
    keyring.refresh()
    assert (names(keyring), keyring.problems) == (["second"], ()), "removed is removed"


def test_a_new_file_that_is_bad_is_ignored(tmp_path: Path) -> None:
    write(tmp_path, "courier.txt")
    keyring = read(tmp_path)
    path = write(tmp_path, "second.txt", mode=0o640)
    keyring.refresh()
    assert names(keyring) == ["courier"]
    assert keyring.problems == (f"{path}: mode 0640 lets others than its owner use it: chmod 600 {path}",)


def test_a_second_file_of_a_name_that_is_in_use_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, "courier.txt")
    keyring = read(tmp_path)
    [before] = keyring.identities
    write(tmp_path, "courier.old")
    keyring.refresh()
    assert keyring.identities == (before,)
    assert len(keyring.problems) == 2


def test_a_directory_that_can_not_be_looked_into_for_a_while_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "identities"
    folder.mkdir()
    write(folder, "courier.txt")
    keyring = read(folder)
    folder.rename(tmp_path / "away")
    keyring.refresh()
    assert names(keyring) == ["courier"]
    assert len(keyring.problems) == 1
    (tmp_path / "away").rename(folder)
    keyring.refresh()
    assert (names(keyring), keyring.problems) == (["courier"], ())
