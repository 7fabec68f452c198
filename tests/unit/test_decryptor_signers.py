"""allowed_signers: OpenSSH's own file, understood as OpenSSH understands it, and followed while the service runs."""

import subprocess
from base64 import b64encode, encodebytes
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from decryptor.signature import read
from decryptor.signers import AllowedSigners, SignersError, matches, read_file, vouched
from fakes.senders import ACME, make_key, public, signature
from shared.errors import Rejected

MANIFEST = b"{}"
SECURITY_KEY = b"\0\0\0\x1ask-ssh-ed25519@openssh.com\0\0\0\x20" + bytes(32) + b"\0\0\0\4ssh:"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def key(folder: Path) -> Path:
    return make_key(folder / "acme")


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


# As OpenSSH

PRINCIPALS = [
    ACME,
    "*",
    "*@example.com",
    "a??e@example.com",
    "branch@example.com,acme@*",
    "*,!acme@example.com",
    "!acme@example.com,*",
    "!b*,*",
    "acme",
    "ACME@example.com",
    "[a]cme@example.com",
    "a[c]me@example.com",
    '"acme@example.com"',
    '"*@example.com,b"',
    "acme@example.com,",
]
OPTIONS = [
    "",
    'namespaces="hikyaku"',
    'namespaces="git"',
    'namespaces="git,hikyaku"',
    'namespaces="hik*"',
    'namespaces="*,!hikyaku"',
    'NAMESPACES="hikyaku"',
    'valid-after="20260101"',
    'valid-after="20270101"',
    'valid-before="20261231Z"',
    'valid-before="20251231"',
    'valid-after="202601010000",valid-before="20261112000000Z"',
    'valid-before="20261111235959Z"',
    'valid-after="20261112000000Z",namespaces="hikyaku"',
    'valid-after="20261112000001Z"',
    'valid-after="20270101",valid-before="20260101"',
    'valid-after="2026"',
    'valid-after="20261399"',
    'valid-after="today"',
    "unknown-option=1",
    "cert-authority",
    'namespaces="hikyaku',
]
LINES = [f"{principals} PUBLIC" for principals in PRINCIPALS] + [f"{ACME} {options} PUBLIC" for options in OPTIONS]
LINES += [
    '  acme@example.com   PUBLIC  a comment, with = and "',
    f"{ACME}\tPUBLIC",
    "PUBLIC",
    f"{ACME} ssh-rsa AAAA",
    ACME,
    f'"{ACME} PUBLIC',
]


@pytest.fixture(scope="module")
def blob(key: Path) -> bytes:
    return signature(MANIFEST, key)


@pytest.mark.parametrize("line", LINES)
def test_openssh_and_we_take_the_same_lines(tmp_path: Path, key: Path, blob: bytes, line: str) -> None:
    path = written(tmp_path / "signers", line.replace("PUBLIC", public(key)))
    armored = tmp_path / "sig"
    armored.write_bytes(armor(blob))
    command = ["ssh-keygen", "-Y", "verify", "-f", path, "-I", ACME, "-n", "hikyaku", "-s", armored, "-O", "verify-time=20261112000000Z"]
    theirs = subprocess.run(command, input=MANIFEST, capture_output=True, check=False).returncode == 0
    try:
        vouched(read_file(path)[0], read(blob).key, ACME, datetime(2026, 11, 12, tzinfo=UTC))
        ours = True
    except (Rejected, SignersError):
        ours = False
    assert ours == theirs


def armor(blob: bytes) -> bytes:
    return b"-----BEGIN SSH SIGNATURE-----\n" + encodebytes(blob) + b"-----END SSH SIGNATURE-----\n"


@pytest.mark.parametrize("name", ["a" * 256, "*" * 256, "[" * 256])
def test_patterns_cost_no_time(name: str) -> None:
    assert not matches(name, ",".join(["*a" * 60 + "b"] * 20))


# What we leave out


def test_what_we_have_no_use_for_is_left_out_and_told(tmp_path: Path, folder: Path, key: Path) -> None:
    others = [make_key(folder / "ecdsa", "ecdsa"), make_key(folder / "short", "rsa", bits=1024)]
    security_key = f"sk-ssh-ed25519@openssh.com {b64encode(SECURITY_KEY).decode()}"
    lines = [f"*@example.com cert-authority {public(key)}", *(f"b {public(other)}" for other in others), f"c {security_key}"]
    path = written(tmp_path / "signers", "# ours", "", f"{ACME} {public(key)}", *lines)
    with capture_logs() as logs:
        signers = AllowedSigners(path).current()
    assert [signer.principals for signer in signers] == [ACME]
    told = [entry["problem"] for entry in logs if entry["event"] == "signer_unusable"]
    assert [line.partition(":")[0] for line in told] == ["line 4", "line 5", "line 6", "line 7"]
    for said, about in zip(told, ("cert-authority", "ecdsa-sha2-nistp256", "2048", "sk-ssh-ed25519@openssh.com"), strict=True):
        assert about in said


def test_all_lines_that_are_wrong_are_told_without_their_text(tmp_path: Path, key: Path) -> None:
    path = written(
        tmp_path / "signers", f"{ACME} {public(key)}", "MARKER", f'MARKER valid-after="MARKER" {public(key)}', f"{ACME} ssh-rsa ????"
    )
    with pytest.raises(SignersError) as caught:
        AllowedSigners(path)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["line 2", "line 3", "line 4"]
    assert "MARKER" not in str(caught.value)


def test_a_file_that_is_no_text_or_no_file(tmp_path: Path) -> None:
    (tmp_path / "signers").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "signers", tmp_path):
        with pytest.raises(SignersError):
            AllowedSigners(path)


# While the service runs


def test_without_a_file_nobody_is_known_until_there_is_one(tmp_path: Path, key: Path) -> None:
    path = tmp_path / "signers"
    signers = AllowedSigners(path)
    assert signers.current() == AllowedSigners(None).current() == ()
    written(path, f"{ACME} {public(key)}")
    assert [signer.principals for signer in signers.current()] == [ACME]


def test_an_edit_holds_from_the_next_file_on(tmp_path: Path, key: Path) -> None:
    path = written(tmp_path / "signers", f"{ACME} {public(key)}")
    signers = AllowedSigners(path)
    written(path, f"branch {public(key)}", f"other {public(key)}")
    with capture_logs() as logs:
        assert [signer.principals for signer in signers.current()] == ["branch", "other"]
        signers.current()
    assert [(entry["event"], entry["signers"]) for entry in logs] == [("signers_read", 2)]
    written(path, "")
    assert signers.current() == ()


def test_a_broken_edit_keeps_the_last_good_one_and_says_so_once(tmp_path: Path, key: Path) -> None:
    path = written(tmp_path / "signers", f"{ACME} {public(key)}")
    signers = AllowedSigners(path)
    before = signers.current()
    for spoil in (lambda: written(path, "broken"), path.unlink):
        spoil()
        with capture_logs() as logs:
            assert signers.current() == signers.current() == before
        assert [entry["event"] for entry in logs] == ["signers_kept"]
