"""Presigned uploads against a LocalStack that checks signatures: by plain curl, and by `hikyaku send --url` without credentials."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from line import Line, Put, eventually

from fakes.senders import ACME, make_key, public

ORDERS = "id int PRIMARY KEY, item text, qty int"
CSV = "id,item,qty\n1,座布団,5\n"


@pytest.fixture
def orders(line: Line) -> str:
    return line.table(ORDERS)


def environment(line: Line | None, folder: Path) -> dict[str, str]:
    """The operator's, or that of somebody who has no AWS credentials."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HIKYAKU_"))}
    return plain | {"XDG_STATE_HOME": str(folder / "state"), **(line.endpoints if line else {})}


def hikyaku(line: Line | None, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hikyaku", *arguments]
    said = environment(line, folder)
    return subprocess.run(command, env=said, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=90)


def presigned(line: Line, folder: Path, key: str, *options: str) -> tuple[str, str, str]:
    """The URL or form, the curl line, and the receipt's URL."""
    done = hikyaku(line, folder, "presign", key, *options)
    assert done.returncode == 0, done.stderr
    curl = next((text for text in done.stderr.splitlines() if text.startswith("curl ")), "")
    receipt = re.search(r"--receipt-url (\S+)", done.stderr)
    assert receipt is not None
    return done.stdout.strip(), curl, receipt[1].strip("'")


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def newest(line: Line, key: str) -> Put:
    head = line.s3.head_object(Bucket=line.bucket, Key=key)
    return Put(key, head["VersionId"], head["ETag"].strip('"'), head["ContentLength"])


def test_curl_as_it_is_printed_loads_once(line: Line, tmp_path: Path, orders: str) -> None:
    _, curl, _ = presigned(line, tmp_path, f"{orders}/注文 11月.csv.gz.age")
    (tmp_path / "FILE").write_bytes(line.seal(CSV.encode()))
    first, second = shell(curl, tmp_path), shell(curl, tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert line.fate(newest(line, f"incoming/{orders}/注文 11月.csv.gz.age"))["status"] == "loaded"
    assert second.returncode != 0
    assert "PreconditionFailed" in second.stdout


def test_a_sender_without_credentials(line: Line, tmp_path: Path, orders: str) -> None:
    url, _, _ = presigned(line, tmp_path, f"{orders}/11.csv.gz.age")
    (tmp_path / "注文.csv").write_text(CSV)
    send = ["send", "注文.csv", "-r", line.world.recipient, "--url", url]
    done = hikyaku(None, tmp_path, *send, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    put = newest(line, f"incoming/{orders}/11.csv.gz.age")
    assert (said["bucket"], said["key"], said["version_id"]) == (line.bucket, put.key, put.version_id)
    assert line.fate(put)["status"] == "loaded"
    again = hikyaku(None, tmp_path, *send)
    assert (again.returncode, "used already" in again.stderr) == (1, True), again.stderr


def test_an_altered_url_sends_nothing(line: Line, tmp_path: Path, orders: str) -> None:
    url, _, _ = presigned(line, tmp_path, f"{orders}/12.csv.gz.age")
    (tmp_path / "a.csv").write_text(CSV)
    done = hikyaku(None, tmp_path, "send", "a.csv", "-r", line.world.recipient, "--url", url.replace("12.csv", "13.csv"))
    assert (done.returncode, "altered or cut" in done.stderr) == (1, True), done.stderr
    assert "X-Amz-Signature" not in done.stderr
    assert line.s3.list_objects_v2(Bucket=line.bucket, Prefix=f"incoming/{orders}/")["KeyCount"] == 0


def test_a_url_expires(line: Line, tmp_path: Path, orders: str) -> None:
    url, _, _ = presigned(line, tmp_path, f"{orders}/12.csv.gz.age", "--expires", "1s")
    (tmp_path / "a.csv").write_text(CSV)

    def expired() -> bool:
        done = hikyaku(None, tmp_path, "send", "a.csv", "-r", line.world.recipient, "--url", url)
        return done.returncode == 1 and "the URL has expired" in done.stderr and "hikyaku presign" in done.stderr

    eventually(expired, what="the URL expires")


def test_a_form_takes_a_signed_manifest(line: Line, tmp_path: Path, orders: str) -> None:
    key = make_key(tmp_path / "acme")
    (line.folder / "allowed_signers").write_text(f'{ACME} namespaces="hikyaku" {public(key)}\n')
    form, _, _ = presigned(line, tmp_path, f"{orders}/注文 form.csv.gz.age", "--form")
    (tmp_path / "form").write_text(form)
    (tmp_path / "a.csv").write_text(CSV)
    done = hikyaku(None, tmp_path, "send", "a.csv", "-r", line.world.recipient, "--url", "form", "--sign", str(key))
    assert done.returncode == 0, done.stderr
    row = line.fate(newest(line, f"incoming/{orders}/注文 form.csv.gz.age"))
    assert (row["status"], row["signer"]) == ("loaded", ACME)


def test_a_signed_receipt_is_fetched_by_its_url(line: Line, tmp_path: Path, orders: str) -> None:
    url, _, receipt_url = presigned(line, tmp_path, f"{orders}/r.csv.gz.age")
    (tmp_path / "a.csv").write_text(f'{CSV}7,"a quote is open\n')
    send = ["send", "a.csv", "-r", line.world.recipient, "--url", url, "--receipt-url", receipt_url, "--wait", "--timeout", "60"]
    command = [sys.executable, "-m", "hikyaku", *send, "--receipt-signer", str(line.folder / "receipt_signers")]
    done = subprocess.run(command, cwd=tmp_path, env=environment(None, tmp_path), capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 3
    assert "rejected a.csv" in done.stdout
    assert "csv_malformed" in done.stderr
