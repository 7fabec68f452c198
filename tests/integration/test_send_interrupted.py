"""Ctrl-C while an upload in parts is under way, at a real pseudo-terminal."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

from line import Line, eventually

SLOW = """
import signal
# Whoever runs the tests in a shell's background has it ignored, and what they start inherits that (POSIX, 2.11 of the shell).
signal.signal(signal.SIGINT, signal.default_int_handler)
from boto3.s3.transfer import TransferConfig
from hikyaku.sending import upload
upload.TRANSFER = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_bandwidth=2 << 20)
from hikyaku.__main__ import main
main()
"""


def shown(terminal: int) -> str:
    said = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            # Linux's way to say that nobody has the other end open.
            return said.decode()
        if not piece:
            return said.decode()
        said += piece


def test_nothing_half_sent_stays(line: Line, tmp_path: Path) -> None:
    file = tmp_path / "大きな.csv"
    file.write_text("v\n" + Random(1).randbytes(30 << 20).hex())
    prefix = "incoming/interrupted/"
    command = [sys.executable, "-c", SLOW, "send", str(file), "--to", f"s3://{line.bucket}/{prefix}", "-r", line.world.recipient]
    here, there = pty.openpty()
    environment = os.environ | line.endpoints | {"XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, env=environment, stdin=there, stdout=there, stderr=there, start_new_session=True) as process:
        os.close(there)

        def uploads() -> list[object]:
            return list(line.s3.list_multipart_uploads(Bucket=line.bucket, Prefix=prefix).get("Uploads", []))

        eventually(lambda: bool(uploads()), what="the upload in parts begins")
        process.send_signal(signal.SIGINT)
        said = shown(here)
        assert process.wait(timeout=60) == 130
    os.close(here)
    assert not uploads()
    assert line.s3.list_objects_v2(Bucket=line.bucket, Prefix=prefix)["KeyCount"] == 0
    assert "read  大きな.csv" in said, "two bars"
    assert "sent  大きな.csv.gz.age" in said
    assert "was left behind" in said
    assert "Traceback" not in said
