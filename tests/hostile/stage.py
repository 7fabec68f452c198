"""The stack that the run has to itself, with tables and senders."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg
from line import Line, Put

from hostile import ciphertexts, tables
from hostile.manifests import Desk

DATASET, SIGNED, SMALL = "hostile", "hostile_signed", "hostile_small"
COLUMNS = "id int PRIMARY KEY, v text, note text"
OPTIONS = f"""
[datasets.{SIGNED}]
signature = "required"
senders = "acme@example.com"

[datasets.{SMALL}]
max_bytes = 1_000_000
"""
SETTINGS = {"HIKYAKU_LOG_FORMAT": "json", "HIKYAKU_RECEIVE_WAIT": "1"}
UP_TIMEOUT_S = 600


def local(verb: str, folder: Path) -> None:
    """`hikyaku local up` or `down`."""
    gnupg_dir(folder).mkdir(exist_ok=True)
    settings = SETTINGS | {"HIKYAKU_GNUPG_DIR": str(gnupg_dir(folder))}
    command = [sys.executable, "-m", "hikyaku", "local", verb, "--dir", str(folder)]
    subprocess.run(command, check=True, timeout=UP_TIMEOUT_S, env=os.environ | settings, stdout=subprocess.DEVNULL)


def gnupg_dir(folder: Path) -> Path:
    """Where the decryptor makes gpg's homes."""
    return folder / "gpg"


def prepare(line: Line) -> Desk:
    """Tables, datasets, the keys of the vectors, and who may sign."""
    with psycopg.connect(line.endpoints["HIKYAKU_DATABASE_URL"], autocommit=True) as owner:
        for script in [*(f"CREATE TABLE {name} ({COLUMNS})" for name in (DATASET, SIGNED, SMALL)), *tables.scripts()]:
            owner.execute(script.encode())
    for number, identity in enumerate(sorted(ciphertexts.identities())):
        path = line.folder / "secrets" / "identities" / f"vectors-{number}"
        path.touch(0o600)
        path.write_text(identity)
    keys = line.folder / "senders"
    keys.mkdir()
    desk = Desk(keys, line.bucket, SIGNED)
    (line.folder / "allowed_signers").write_text(desk.signers)
    # Every file of data meets what holds when it comes.
    line.configure(OPTIONS + tables.entries())
    return desk


def put(line: Line, key: str, content: bytes, metadata: Mapping[str, str]) -> Put:
    """An object with what its sender states."""
    answer = line.s3.put_object(Bucket=line.bucket, Key=key, Body=content, Metadata=metadata)
    return Put(key, answer["VersionId"], answer["ETag"].strip('"'), len(content))
