"""The files of OpenPGP keys: the host's own in the keyring, the senders' in a folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from decryptor.gnupg import Gnupg
from decryptor.keyring import Keyring
from decryptor.openpgp_senders import OpenPgpSenders
from fakes.gpg import People, Person, needs_gpg, person
from fakes.gpg_gate import ACME, GpgGate

pytestmark = needs_gpg

PASSPHRASE = ("--passphrase", "long enough")


@pytest.fixture
def gnupg(place: Path) -> Gnupg:
    return Gnupg(place, on_disk=True)


def keyring(folder: Path, gnupg: Gnupg, **files: bytes) -> Keyring:
    for name, data in files.items():
        path = folder / f"{name}.asc"
        path.touch(0o600)
        path.write_bytes(data)
    ring = Keyring(folder, gnupg)
    ring.refresh()
    return ring


def senders(folder: Path, gnupg: Gnupg, **files: bytes) -> OpenPgpSenders:
    for name, data in files.items():
        (folder / f"{name}.asc").write_bytes(data)
    known = OpenPgpSenders(folder, gnupg)
    known.refresh()
    return known


def test_a_secret_key_is_read(tmp_path: Path, gnupg: Gnupg, gpg_people: People) -> None:
    host = gpg_people.host
    ring = keyring(tmp_path, gnupg, host=host.secret(), binary=gpg_people.acme.gpg("--export-secret-keys", passphrase=()))
    assert ring.problems == ()
    assert ring.identities == ()
    assert [key.fingerprints for key in ring.openpgp] == [(gpg_people.acme.fingerprint,), (host.fingerprint,)]
    assert "PRIVATE" not in repr(ring.openpgp)


def without_primary(owner: Person) -> bytes:
    return owner.gpg("--armor", "--export-secret-subkeys", owner.fingerprint, passphrase=())


def test_the_subkey_alone_will_do(tmp_path: Path, gnupg: Gnupg, gpg_people: People) -> None:
    assert keyring(tmp_path, gnupg, host=without_primary(gpg_people.host)).problems == ()


def locked() -> bytes:
    with person("x") as owner:
        owner.gpg("--quick-gen-key", "locked <l@example.com>", "future-default", "default", "never", passphrase=PASSPHRASE)
        return owner.gpg("--armor", "--export-secret-keys", "l@example.com", passphrase=PASSPHRASE)


def weak(kind: str) -> bytes:
    with person("x", kind) as owner:
        return owner.secret()


def test_what_is_no_key_of_ours_is_named(tmp_path: Path, gnupg: Gnupg, gpg_people: People) -> None:
    wrong = {
        "empty": b"",
        "text": b"hello\n",
        "cut": gpg_people.host.secret()[:200],
        "public": gpg_people.host.public(),
        "locked": locked(),
        "rsa1024": weak("rsa1024"),
        "nist": weak("nistp256"),
        "large": b"x" * 1024**2 + b"x",
    }
    ring = keyring(tmp_path, gnupg, **wrong)
    told = {problem.split(".asc: ")[0].rsplit("/", 1)[1]: problem.split(".asc: ")[1] for problem in ring.problems}
    assert told.keys() == wrong.keys()
    assert told["public"].startswith("holds no secret key that opens messages")
    assert told["locked"].startswith("is protected by a passphrase")
    assert "neither Curve25519 nor RSA of 2048 bits" in told["rsa1024"]
    assert "neither Curve25519 nor RSA of 2048 bits" in told["nist"]
    assert told["large"] == "has more than 1048576 bytes"
    for name in ("empty", "text", "cut"):
        assert told[name] == "holds no OpenPGP key that gpg can read"


def test_a_secret_key_that_others_may_read_is_refused(tmp_path: Path, gnupg: Gnupg, gpg_people: People) -> None:
    keyring(tmp_path, gnupg, host=gpg_people.host.secret())
    (tmp_path / "host.asc").chmod(0o640)
    [problem] = keyring(tmp_path, gnupg).problems
    assert "mode 0640" in problem


def test_gpgs_own_trouble_passes_without_a_change_of_the_folder(
    tmp_path: Path, gnupg: Gnupg, gpg_people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "senders").mkdir()
    secret, public = gpg_people.host.secret(), gpg_people.acme.public()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        ring = keyring(tmp_path / "keys", gnupg, host=secret)
        known = senders(tmp_path / "senders", gnupg, acme=public)
        for problems in (ring.problems, known.problems):
            [problem] = problems
            assert "gpg is not installed" in problem
    ring.refresh()
    known.refresh()
    assert (ring.problems, known.problems) == ((), ())
    assert len(ring.openpgp) == len(known.senders) == 1


def test_senders_are_known_by_their_files_names(tmp_path: Path, gnupg: Gnupg, gpg_people: People) -> None:
    acme, stranger = gpg_people.acme, gpg_people.stranger
    (tmp_path / f"{ACME}.asc").write_bytes(acme.public() + stranger.public())
    (tmp_path / ".hidden").write_text("no key")
    known = senders(tmp_path, gnupg)
    assert known.problems == ()
    assert {fingerprint: sender.name for fingerprint, sender in known.by_fingerprint().items()} == {
        acme.fingerprint: ACME,
        stranger.fingerprint: ACME,
    }


def test_what_is_no_senders_key_is_named(tmp_path: Path, gnupg: Gnupg, gpg_people: People) -> None:
    wrong = {
        "a": gpg_people.acme.public(),
        "again": gpg_people.acme.public(),
        "secret": gpg_people.stranger.secret(),
        "text": b"hello\n",
        "rsa1024": weak_public("rsa1024"),
    }
    known = senders(tmp_path, gnupg, **wrong)
    told = {problem.split(".asc: ")[0].rsplit("/", 1)[1]: problem.split(".asc: ")[1] for problem in known.problems}
    assert [sender.name for sender in known.senders] == ["a"]
    assert told["again"] == "holds a key that is a's too: a key speaks for one sender"
    assert told["secret"].startswith("holds a secret key, which is its owner's alone")
    assert told["text"] == "holds no OpenPGP key that gpg can read"
    assert "neither Curve25519 nor RSA" in told["rsa1024"]


def weak_public(kind: str) -> bytes:
    with person("x", kind) as owner:
        return owner.public()


def test_without_a_folder_nobody_is_known(tmp_path: Path, gnupg: Gnupg) -> None:
    for folder in (None, tmp_path / "absent"):
        known = OpenPgpSenders(folder, gnupg)
        known.refresh()
        assert (known.senders, known.problems) == ((), ())


def test_a_broken_edit_keeps_the_last_good_one_and_says_so_once(gpg_gate: GpgGate) -> None:
    sealed = gpg_gate.seal(b"id\n")
    assert gpg_gate.opened(sealed)[0] == b"id\n"
    gpg_gate.know(ACME, b"half an ed")
    with capture_logs() as logs:
        assert gpg_gate.opened(sealed)[0] == b"id\n"
        assert gpg_gate.opened(sealed)[0] == b"id\n"
    [problem] = [entry["problem"] for entry in logs if entry["event"] == "openpgp_sender_unusable"]
    assert problem.endswith("holds no OpenPGP key that gpg can read (the keys that it had are kept)")


def test_keys_are_rotated_by_adding_and_removing_files(gpg_gate: GpgGate) -> None:
    host, stranger = gpg_gate.people.host, gpg_gate.people.stranger
    new = gpg_gate.folder / "new.pub"
    new.write_bytes(stranger.public())
    old_file, new_file = gpg_gate.seal(b"1"), gpg_gate.people.acme.seal(b"2", new)
    assert gpg_gate.opened(old_file)[1].recipient_identity == host.fingerprint
    assert gpg_gate.code(new_file) == "no_matching_identity"
    gpg_gate.hold("new.asc", stranger.secret())
    assert gpg_gate.opened(new_file)[1].recipient_identity == stranger.fingerprint
    (gpg_gate.folder / "identities" / "host.asc").unlink()
    assert gpg_gate.code(old_file) == "no_matching_identity"
    assert gpg_gate.opened(new_file)[0] == b"2"


def test_wrong_keys_end_the_start_with_2_and_are_all_named(gpg_gate: GpgGate) -> None:
    gpg_gate.know("broken@example.com", b"no key")
    gpg_gate.hold("broken.asc", b"no key")
    settings = {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "SPOOL_DIR": str(gpg_gate.spool),
        "SPOOL_ON_DISK": "allow",
        "IDENTITIES_DIR": str(gpg_gate.folder / "identities"),
        "DATASETS": str(gpg_gate.folder / "datasets.toml"),
        "OPENPGP_SENDERS": str(gpg_gate.folder / "senders"),
        "GNUPG_DIR": str(gpg_gate.place),
    }
    environment = os.environ | {f"HIKYAKU_{name}": value for name, value in settings.items()}
    done = subprocess.run([sys.executable, "-m", "decryptor"], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert f"{gpg_gate.folder}/identities/broken.asc: holds no OpenPGP key" in done.stderr
    assert f"{gpg_gate.folder}/senders/broken@example.com.asc: holds no OpenPGP key" in done.stderr
    assert "Traceback" not in done.stderr
    assert gpg_gate.homes() == []
