"""`hikyaku rebuild` on a real line: the table once more, and nothing else touched."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from line import Line, eventually

COLUMNS = "id int PRIMARY KEY, item text, qty int"


def rebuild(line: Line, *arguments: str, code: int = 0) -> dict[str, Any]:
    ran = run(line, *arguments)
    assert ran.returncode == code, ran.stderr
    return dict(json.loads(ran.stdout))


def run(line: Line, *arguments: str) -> subprocess.CompletedProcess[str]:
    folder = line.folder
    environment = {
        **os.environ,
        **line.endpoints,
        "HIKYAKU_IDENTITIES_DIR": str(folder / "secrets" / "identities"),
        "HIKYAKU_ALLOWED_SIGNERS": str(folder / "allowed_signers"),
    }
    command = [sys.executable, "-m", "hikyaku", "rebuild", *arguments, "--yes", "--json"]
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=120)


def csv(*rows: tuple[int, str, int]) -> bytes:
    return ("id,item,qty\n" + "".join(f"{number},{item},{qty}\n" for number, item, qty in rows)).encode()


@pytest.fixture
def dataset(line: Line) -> str:
    """A table with a history: a correction, a duplicate, a rejected file."""
    name = line.table(COLUMNS)
    line.fate(line.send(name, csv((1, "座布団", 5), (2, "提灯", 12)), "a"), "loaded")
    line.fate(line.send(name, csv((2, "提灯", 13), (3, "扇子", 7)), "b"), "loaded")
    line.fate(line.send(name, csv((1, "座布団", 6)), "a"), "loaded")
    line.fate(line.send(name, csv((1, "座布団", 6)), "again"), "duplicate")
    line.fate(line.send(name, b"id,item\nnot,a,row\n", "bad"), "rejected")
    return name


def rows(line: Line, table: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in line.sql(f"SELECT * FROM {table} ORDER BY 1")]


def test_a_rebuilt_table_equals_the_live_one_and_leaves_no_trace(line: Line, dataset: str) -> None:
    ledger = line.sql("SELECT * FROM hikyaku.files ORDER BY bucket, key, version_id")
    result = rebuild(line, dataset, "--into", f"{dataset}_again", "--reason", "a proof")

    assert result["fine"]
    assert (result["files_loaded"], result["files_duplicate"], result["rows"]) == (3, 1, 3)
    assert rows(line, f"{dataset}_again") == rows(line, dataset) == [(1, "座布団", 6), (2, "提灯", 13), (3, "扇子", 7)]
    assert line.sql("SELECT * FROM hikyaku.files ORDER BY bucket, key, version_id") == ledger
    assert not line.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'hikyaku\\_rebuild%'")
    action = line.sql("SELECT * FROM hikyaku.operator_actions WHERE action = 'rebuild' ORDER BY action_id DESC LIMIT 1")[0]
    assert (action["reason"], action["outcome"]) == ("a proof", "done: 4 file versions, 3 rows")


def test_damage_to_the_live_table_is_counted(line: Line, dataset: str) -> None:
    line.sql(f"UPDATE {dataset} SET qty = 999 WHERE id = 3")
    result = rebuild(line, dataset, "--into", f"{dataset}_again", code=1)
    assert (result["rows_only_in_it"], result["rows_only_in_the_live_table"]) == (1, 1)
    assert rows(line, f"{dataset}_again")[2] == (3, "扇子", 7)


def test_a_time_machine_goes_back_to_what_the_table_was(line: Line, dataset: str) -> None:
    (second,) = line.sql("SELECT loaded_at FROM hikyaku.files WHERE key LIKE %s", f"incoming/{dataset}/b.%")
    result = rebuild(line, dataset, "--into", f"{dataset}_then", "--as-of", second["loaded_at"].strftime("%Y-%m-%dT%H:%M:%S.%f%z"))
    assert result["fine"]
    assert rows(line, f"{dataset}_then") == [(1, "座布団", 5), (2, "提灯", 13), (3, "扇子", 7)]


def test_a_deleted_object_is_named_and_its_rows_lack(line: Line, dataset: str) -> None:
    (row,) = line.sql("SELECT key, version_id FROM hikyaku.files WHERE key LIKE %s", f"incoming/{dataset}/b.%")
    line.s3.delete_object(Bucket=line.bucket, Key=row["key"], VersionId=row["version_id"])
    result = rebuild(line, dataset, "--into", f"{dataset}_again", code=1)
    assert (result["files_no_longer_in_the_bucket"], result["rows_only_in_the_live_table"]) == (1, 2)


def test_a_table_that_is_there_is_never_touched_unless_a_rebuild_made_it(line: Line, dataset: str) -> None:
    other = line.table(COLUMNS)
    line.sql(f"INSERT INTO {other} VALUES (9, 'mine', 1)")
    ran = run(line, dataset, "--into", other, "--replace")
    assert (ran.returncode, "already" in ran.stderr) == (2, True)
    assert rows(line, other) == [(9, "mine", 1)]
    assert run(line, dataset, "--into", dataset).returncode == 2
    rebuild(line, dataset, "--into", f"{dataset}_again")
    assert run(line, dataset, "--into", f"{dataset}_again").returncode == 2
    assert rebuild(line, dataset, "--into", f"{dataset}_again", "--replace")["fine"]


def test_a_file_in_parts_is_put_together_once_more(line: Line, tmp_path: Path) -> None:
    name = line.table("id int PRIMARY KEY, v text")
    file = tmp_path / "parts.csv"
    file.write_text("id,v\n" + "".join(f"{number},{number:040}\n" for number in range(2000)), encoding="utf-8")
    to = f"s3://{line.bucket}/incoming/{name}/"
    command = [sys.executable, "-m", "hikyaku", "send", str(file), "--to", to, "-r", line.world.recipient, "--split", "20KB"]
    environment = os.environ | line.endpoints | {"XDG_STATE_HOME": str(tmp_path / "state")}
    subprocess.run(command, check=True, env=environment, timeout=120, stdin=subprocess.DEVNULL)
    eventually(lambda: len(rows(line, name)) == 2000, what="the group is loaded")

    result = rebuild(line, name, "--into", f"{name}_again")
    assert (result["fine"], result["rows"]) == (True, 2000)
    assert result["files_loaded"] + result["files_staged"] > 2


def test_nothing_to_rebuild_is_said_in_a_sentence(line: Line) -> None:
    ran = run(line, f"none_{uuid4().hex[:6]}", "--into", "x")
    assert (ran.returncode, "Traceback" in ran.stderr) == (1, False)
    assert "no file of dataset" in ran.stderr or "does not exist" in ran.stderr


def test_a_dataset_whose_wrong_rows_come_back_is_rebuilt_by_the_ledger_of_its_own(line: Line) -> None:
    name = line.table(COLUMNS)
    recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    line.configure(f'[datasets.{name}]\nmax_rejected_rows = 1\nrejects = "return"\nrejects_recipient = "{recipient}"\n')
    line.fate(line.send(name, csv((1, "座布団", 5)) + b"x,y,z\n"), "loaded")
    result = rebuild(line, name, "--into", f"{name}_again")
    assert (result["fine"], result["files_loaded"], rows(line, f"{name}_again")) == (True, 1, [(1, "座布団", 5)])
