"""Signed files through the whole line: by our own command, and by a sender that has nothing of ours."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from line import Line, Put, eventually
from rich.progress import Progress

from fakes.senders import ACME, make_key, public
from hikyaku.manifest import Voucher
from hikyaku.sending import sealer, upload
from hikyaku.sending.courier import Courier
from hikyaku.sending.destination import Destination
from hikyaku.sequence import Sequence

ROOT = Path(__file__).parents[2]
ORDERS = "id int PRIMARY KEY, item text, qty int"
CSV = "id,item,qty\n1,座布団,5\n"
AGE = f"""#!{sys.executable}
import sys, pyrage
sys.stdout.buffer.write(pyrage.encrypt(sys.stdin.buffer.read(), [pyrage.x25519.Recipient.from_str(sys.argv[2])]))
"""
"""Stands in for `age -r RECIPIENT` where that program is not installed."""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("sender") / "acme")


@pytest.fixture
def orders(line: Line, key: Path) -> str:
    """A dataset that asks for a signature, of acme's key."""
    (line.folder / "allowed_signers").write_text(f'{ACME} namespaces="hikyaku" {public(key)}\n')
    table = line.table(ORDERS)
    line.configure(f'[datasets.{table}]\nsignature = "required"\nsenders = "{ACME}"\n')
    return table


def arrived(line: Line, key: str) -> Put:
    head = line.s3.head_object(Bucket=line.bucket, Key=key)
    return Put(key, head["VersionId"], head["ETag"].strip('"'), head["ContentLength"])


def hikyaku_send(line: Line, folder: Path, dataset: str, *options: str) -> Put:
    file = folder / f"{uuid4().hex}.csv"
    file.write_text(CSV)
    to = f"s3://{line.bucket}/incoming/{dataset}/"
    command = [sys.executable, "-m", "hikyaku", "send", str(file), "--to", to, "-r", line.world.recipient, *options]
    environment = os.environ | line.endpoints | {"XDG_STATE_HOME": str(folder / "state")}
    subprocess.run(command, check=True, env=environment, timeout=60, stdin=subprocess.DEVNULL)
    return arrived(line, f"incoming/{dataset}/{file.stem}.csv.gz.age")


def test_a_signed_file_loads_and_the_ledger_names_its_signer(line: Line, tmp_path: Path, key: Path, orders: str) -> None:
    row = line.fate(hikyaku_send(line, tmp_path, orders, "--sign", str(key)))
    assert (row["status"], row["signer"], row["error"]) == ("loaded", ACME, None)


def test_a_pipe_is_signed_as_a_file_is(line: Line, tmp_path: Path, key: Path, orders: str) -> None:
    named = f"incoming/{orders}/pipe, 注文.csv.gz.age"
    command = [sys.executable, "-m", "hikyaku", "send", "-", "--to", f"s3://{line.bucket}/{named}", "-r", line.world.recipient]
    environment = os.environ | line.endpoints | {"XDG_STATE_HOME": str(tmp_path / "state")}
    subprocess.run([*command, "--sign", str(key)], check=True, env=environment, timeout=60, input=CSV.encode())
    row = line.fate(arrived(line, named))
    assert (row["status"], row["signer"], row["rows_loaded"]) == ("loaded", ACME, 1)


def test_an_unsigned_file_is_in_the_dead_letter_queue(line: Line, tmp_path: Path, orders: str) -> None:
    put = hikyaku_send(line, tmp_path, orders)
    row = line.fate(put)
    assert (row["status"], row["error_code"], row["signer"]) == ("rejected", "signature_missing", None)
    eventually(lambda: line.dead_letters() == {put.key: "signature_missing"}, what="the message is in the dead-letter queue")


def test_a_signed_object_does_not_load_under_another_key(line: Line, tmp_path: Path, key: Path, orders: str) -> None:
    put = hikyaku_send(line, tmp_path, orders, "--sign", str(key))
    assert line.fate(put)["status"] == "loaded"
    copy = f"incoming/{orders}/copy.csv.gz.age"
    line.s3.copy_object(Bucket=line.bucket, Key=copy, CopySource={"Bucket": line.bucket, "Key": put.key})
    assert line.fate(arrived(line, copy))["error_code"] == "manifest_mismatch"


def test_the_manifest_of_an_upload_in_parts_is_the_objects(line: Line, tmp_path: Path, key: Path, orders: str, monkeypatch: Any) -> None:
    """Under a name that LocalStack encodes in its event."""
    monkeypatch.setattr(upload, "TRANSFER", TransferConfig(multipart_threshold=5 * upload.MIB, multipart_chunksize=5 * upload.MIB))
    file, content = tmp_path / "two words, 注文.csv", Random(1)
    file.write_text("id,item,qty\n" + "".join(f"{n},{content.randbytes(4096).hex()},{n}\n" for n in range(1500)))
    voucher = Voucher(ACME, key, Sequence(tmp_path / "sequences.json"))
    to = Destination(line.bucket, f"incoming/{orders}/")
    with Progress(disable=True) as progress:
        sent = Courier(upload.S3Upload(line.s3), to, sealer.age([line.world.recipient], []), progress, voucher).send(file)
    put = arrived(line, sent.key)
    assert sent.version_id == put.version_id
    assert put.etag.endswith("-2")
    row = line.fate(put)
    assert (row["status"], row["signer"], row["rows_loaded"]) == ("loaded", ACME, 1500)


def test_a_sender_that_is_made_known_later_loads_when_its_message_is_redriven(line: Line, tmp_path: Path, orders: str) -> None:
    line.configure(f'[datasets.{orders}_2]\ntable = "{orders}"\nsignature = "required"\n')
    late = make_key(tmp_path / "late", comment="late@example.com")
    put = hikyaku_send(line, tmp_path, f"{orders}_2", "--sign", str(late))
    assert line.fate(put)["error_code"] == "signer_unknown"
    with (line.folder / "allowed_signers").open("a") as signers:
        signers.write(f"late@example.com {public(late)}\n")
    line.announce(put)
    assert line.fate(put, "loaded")["signer"] == "late@example.com"


def test_a_file_that_the_operator_puts_again_keeps_its_signature(line: Line, tmp_path: Path, key: Path, orders: str) -> None:
    """As docs/operations.md says, Restore."""
    put = hikyaku_send(line, tmp_path, orders, "--sign", str(key))
    assert line.fate(put)["status"] == "loaded"
    source = {"Bucket": line.bucket, "Key": put.key}
    line.s3.copy_object(Bucket=line.bucket, Key=put.key, CopySource=source, ServerSideEncryption="aws:kms")
    again = arrived(line, put.key)
    assert again.version_id != put.version_id
    row = line.fate(again)
    assert (row["status"], row["signer"]) == ("duplicate", ACME)


# Nothing of ours


def block(name: str) -> str:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    [found] = re.findall(rf"<!-- test: {name} -->\n+```bash\n(.*?)```", text, re.DOTALL)
    return str(found)


class Shell:
    """Somebody with bash, gzip, age, OpenSSH and curl, in a folder of his own."""

    def __init__(self, line: Line, folder: Path, key: Path, dataset: str) -> None:
        (folder / "orders.csv").write_text(CSV)
        programs = folder / "bin"
        programs.mkdir()
        if not shutil.which("age"):
            (programs / "age").write_text(AGE)
            (programs / "age").chmod(0o755)
        self.line, self.folder, self.key = line, folder, f"incoming/{dataset}/by-hand.csv.gz.age"
        self.environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "FILE": "orders.csv",
            "RECIPIENT": line.world.recipient,
            "SENDER": ACME,
            "SIGNING_KEY": str(key),
            "SEQ": "1",
            "BUCKET": line.bucket,
            "KEY": self.key,
            "S3": f"{line.endpoints['AWS_ENDPOINT_URL']}/{line.bucket}",
            **{name: line.endpoints[name] for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
        }

    def type(self, *names: str, **more: str) -> str:
        script = "".join(map(block, names))
        command = ["bash", "-euo", "pipefail", "-c", script + 'printf "%s %s" "$manifest" "$signature"']
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment | more, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def s3(self) -> Any:
        """The receiver's client, which presigns."""
        e = self.line.endpoints
        return boto3.client(
            "s3",
            endpoint_url=e["AWS_ENDPOINT_URL"],
            region_name=e["AWS_REGION"],
            aws_access_key_id=e["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=e["AWS_SECRET_ACCESS_KEY"],
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )


def by_key(shell: Shell) -> None:
    shell.type("shell-seal", "shell-key")


def by_url(shell: Shell) -> None:
    manifest, signature = shell.type("shell-seal").split()
    stated = {"hikyaku-manifest": manifest, "hikyaku-signature": signature}
    url = shell.s3().generate_presigned_url("put_object", Params={"Bucket": shell.line.bucket, "Key": shell.key, "Metadata": stated})
    shell.type("shell-presigned", URL=url, manifest=manifest, signature=signature)


def by_form(shell: Shell) -> None:
    conditions = [["starts-with", f"$x-amz-meta-hikyaku-{name}", ""] for name in ("manifest", "signature")]
    form = shell.s3().generate_presigned_post(shell.line.bucket, shell.key, Conditions=conditions)
    fields = "".join(f'form = "{name}={value}"\n' for name, value in form["fields"].items())
    (shell.folder / "form").write_text(f'url = "{form["url"]}"\n{fields}')
    shell.type("shell-seal", "shell-form")


@pytest.mark.parametrize("way", [by_key, by_url, by_form])
def test_a_sender_with_nothing_of_ours(line: Line, tmp_path: Path, key: Path, orders: str, way: Callable[[Shell], None]) -> None:
    shell = Shell(line, tmp_path, key, orders)
    way(shell)
    row = line.fate(arrived(line, shell.key))
    assert (row["status"], row["signer"], row["rows_loaded"]) == ("loaded", ACME, 1)
