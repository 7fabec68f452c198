"""A signed file in parts through the whole line: nothing of it is in the table until all of it is, whatever dies meanwhile."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from line import Line, eventually

from fakes.senders import ACME, make_key, public

ROWS = [(number, f'row "{number}",\nof two lines') for number in range(4000)]


def send(line: Line, dataset: str, file: Path, *how: str) -> None:
    to = f"s3://{line.bucket}/incoming/{dataset}/"
    command = [sys.executable, "-m", "hikyaku", "send", str(file), "--to", to, "-r", line.world.recipient, *how]
    environment = os.environ | line.endpoints | {"XDG_STATE_HOME": str(file.parent / "state")}
    subprocess.run(command, check=True, env=environment, timeout=120, stdin=subprocess.DEVNULL)


def test_a_signed_file_in_parts_is_loaded_as_one(line: Line, tmp_path: Path) -> None:
    key = make_key(tmp_path / "acme")
    (line.folder / "allowed_signers").write_text(f'{ACME} namespaces="hikyaku" {public(key)}\n')
    table = line.table("id int, v text")
    line.configure(f'[datasets.{table}]\nmode = "append"\nsignature = "required"\n')
    file = tmp_path / f"{uuid4().hex}.csv"
    with file.open("w", newline="") as target:
        csv.writer(target).writerows([("id", "v"), *ROWS])
    send(line, table, file, "--sign", str(key), "--split", "20KB")
    os.kill(line.pid("loader"), signal.SIGKILL)

    def whole() -> bool:
        [found] = line.sql(f"SELECT count(*) AS rows FROM {table}")
        assert found["rows"] in {0, len(ROWS)}
        return found["rows"] == len(ROWS)

    eventually(whole, what="all rows are there")
    [group] = line.sql("SELECT status, parts, arrived, sender, signed FROM hikyaku.group_progress WHERE dataset = %s", table)
    assert group == {"status": "loaded", "parts": group["arrived"], "arrived": group["arrived"], "sender": ACME, "signed": True}
    assert [(row["id"], row["v"]) for row in line.sql(f"SELECT id, v FROM {table} ORDER BY id")] == ROWS
    files = line.sql("SELECT status, signer, count(*) AS files FROM hikyaku.files WHERE dataset = %s GROUP BY 1, 2", table)
    assert files == [{"status": "loaded", "signer": ACME, "files": group["parts"]}]
    line.quiet()
    assert line.dead_letters() == {}


def test_the_objects_of_all_parts_go_when_the_group_is_loaded(line: Line, tmp_path: Path) -> None:
    table = line.table("id int, v text")
    line.configure(f'[datasets.{table}]\nmode = "append"\nafter_load = "delete"\n')
    file = tmp_path / f"{uuid4().hex}.csv"
    file.write_text("id,v\n" + "".join(f"{number},row {number}\n" for number in range(500)))
    command = [
        sys.executable,
        "-m",
        "hikyaku",
        "send",
        str(file),
        "--to",
        f"s3://{line.bucket}/incoming/{table}/",
        "-r",
        line.world.recipient,
    ]
    environment = os.environ | line.endpoints | {"XDG_STATE_HOME": str(tmp_path / "state")}
    subprocess.run([*command, "--split", "2KB"], check=True, env=environment, timeout=120, stdin=subprocess.DEVNULL)

    def left() -> int:
        return len(line.s3.list_object_versions(Bucket=line.bucket, Prefix=f"incoming/{table}/").get("Versions", []))

    def status() -> list[str]:
        return [row["status"] for row in line.sql("SELECT status FROM hikyaku.group_progress WHERE dataset = %s", table)]

    eventually(lambda: status() == ["loaded"] and not left(), what="the group is loaded, and no object is left")
    line.quiet()
    assert line.sql(f"SELECT count(*) AS n FROM {table}") == [{"n": 500}]
