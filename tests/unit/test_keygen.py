"""`hikyaku keygen`: keys that age and OpenSSH take, for their owner alone, and never over others."""

from pathlib import Path
from typing import Any

import pyrage
import pytest
from typer.testing import CliRunner

from fakes.senders import ACME, signature, verifies
from hikyaku.app import app
from hikyaku.errors import UserError


def run(*options: str) -> Any:
    return CliRunner().invoke(app, ["keygen", *options])


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_hosts_pair_opens_what_is_sent_to_it(tmp_path: Path) -> None:
    done = run("--out", str(tmp_path / "鍵"))
    assert done.exit_code == 0, done.output
    file = tmp_path / "鍵" / "hikyaku.txt"
    recipient = done.stdout.strip()
    assert (tmp_path / "鍵" / "hikyaku.txt.pub").read_text().strip() == recipient
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    secret = pyrage.x25519.Identity.from_str(file.read_text().splitlines()[-1])
    assert pyrage.decrypt(pyrage.encrypt(b"x", [pyrage.x25519.Recipient.from_str(recipient)]), [secret]) == b"x"
    assert "AGE-SECRET-KEY" not in done.output
    assert done.stderr.splitlines()[0] == ""
    assert done.stderr.splitlines()[2].endswith("hikyaku send FILE.csv -r age1… --to s3://BUCKET/incoming/DATASET/")


def test_a_senders_key_signs(tmp_path: Path) -> None:
    done = run("--signing", "--name", ACME, "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    key = tmp_path / "hikyaku-signing"
    kind, public, comment = done.stdout.split()
    assert (mode(key), comment) == (0o600, ACME)
    assert done.stderr.splitlines()[3] == f"Then: hikyaku send FILE.csv --sign {key} …"
    signers = tmp_path / "signers"
    signers.write_text(f'{ACME} namespaces="hikyaku" {kind} {public}\n')
    assert verifies(b"x", signature(b"x", key), signers)


@pytest.mark.parametrize(("options", "name"), [([], "hikyaku.txt"), (["--signing"], "hikyaku-signing")])
@pytest.mark.parametrize("suffix", ["", ".pub"])
def test_keys_are_never_overwritten(tmp_path: Path, options: list[str], name: str, suffix: str) -> None:
    there = tmp_path / f"{name}{suffix}"
    there.write_text("old")
    error = run(*options, "--out", str(tmp_path)).exception
    assert isinstance(error, UserError)
    assert (error.exit_code, there.read_text()) == (2, "old")
    assert list(tmp_path.iterdir()) == [there], "no half of a pair"
