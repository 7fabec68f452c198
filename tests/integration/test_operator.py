"""The operator looks: status, files, show, errors, on a real line."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from line import Line


def hikyaku(line: Line, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hikyaku", *arguments]
    environment = {**os.environ, **line.endpoints, "COLUMNS": "250"}
    ran = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert code is None or ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran


def lines(ran: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.fixture
def dataset(line: Line) -> str:
    name = line.table("id int PRIMARY KEY, item text")
    line.fate(line.send(name, "id,item\n1,座布団\n2,提灯\n".encode(), "good"), "loaded")
    line.fate(line.send(name, b"id,item\nno,number\n", "bad"), "rejected")
    return name


def test_files_are_listed_and_found_by_glob_status_and_time(line: Line, dataset: str) -> None:
    found = lines(hikyaku(line, "files", "--dataset", dataset, "--json"))
    assert [row["status"] for row in found] == ["rejected", "loaded"]
    found = lines(hikyaku(line, "files", "--key", f"incoming/{dataset}/g??d*", "--since", "1h", "--json"))
    assert [(row["status"], row["rows_inserted"]) for row in found] == [("loaded", 2)]
    assert "good.csv.gz.age" in hikyaku(line, "files", "--dataset", dataset, "--status", "loaded").stdout
    assert hikyaku(line, "files", "--dataset", "nobody").stderr.strip() == "No such file."


def test_a_file_is_shown_whole_by_key_and_by_id(line: Line, dataset: str) -> None:
    [file] = lines(hikyaku(line, "show", f"{dataset}/bad.csv.gz.age", "--json"))
    assert (file["status"], file["error_code"]) == ("rejected", "value_invalid")
    shown = hikyaku(line, "show", file["file_id"]).stdout
    assert "value_invalid" in shown
    assert "corrected" in shown
    assert "number" not in shown.replace("number of", ""), "no row data"
    ran = hikyaku(line, "show", "nobody/knows.csv.gz.age", code=1)
    assert "knows no file" in ran.stderr


def test_errors_say_what_to_do(line: Line, dataset: str) -> None:
    told = hikyaku(line, "errors", "--dataset", dataset).stdout
    assert "value_invalid: 1 ×" in told
    assert f"incoming/{dataset}/bad.csv.gz.age" in told
    assert "Nothing needs a person." in hikyaku(line, "errors", "--dataset", "nobody").stdout


def test_the_status_names_what_needs_a_person(line: Line, dataset: str) -> None:
    state = json.loads(hikyaku(line, "status", "--json", code=1).stdout)
    assert state["dead_letters"]["visible"] + state["dead_letters"]["in_flight"] >= 1
    [row] = [row for row in state["datasets"] if row["dataset"] == dataset]
    assert (row["loaded_24h"], row["rejected_24h"], row["last_key"]) == (1, 1, f"incoming/{dataset}/good.csv.gz.age")
    assert any("dead-letter queue" in trouble for trouble in state["troubles"])
    assert dataset in hikyaku(line, "status", code=1).stdout


@pytest.mark.parametrize("name", ["HIKYAKU_DATABASE_URL", "HIKYAKU_QUEUE_URL"])
def test_what_is_not_there_is_said_in_a_sentence(line: Line, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"HIKYAKU_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "HIKYAKU_QUEUE_URL": "http://127.0.0.1:1/000000000000/none"}
    monkeypatch.setitem(line.endpoints, name, wrong[name])
    assert hikyaku(line, "status", code=1).stderr.startswith("hikyaku: ")


def test_actions_are_listed_even_when_there_is_none(line: Line) -> None:
    assert "outcome" in hikyaku(line, "actions").stdout
