"""What others chose can't forge a line, steer a terminal or mislead a reader: in logs, the ledger's errors, and the command's output."""

import io
import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hikyaku.errors import UserError
from hikyaku.operator import output
from hikyaku.sending.progress import progress_bars
from shared.contract import Problem
from shared.errors import Rejected
from shared.printable import printable

ROOT = Path(__file__).parents[2]
HOSTILE = {
    "line end": ("a\r\nb", r"a\r\nb"),
    "ANSI": ("\x1b[2J\x1b]0;x\x07", r"\x1b[2J\x1b]0;x\x07"),
    "one byte ANSI": ("\x9b31m", r"\x9b31m"),
    "other line ends": ("a\x85b\u2028c\u2029", r"a\x85b\u2028c\u2029"),
    "right to left": ("a\u202egpj.vsc", r"a\u202egpj.vsc"),
    "isolate": ("\u2066a\u2069", r"\u2066a\u2069"),
    "unseen": ("a\u200bb\ufeff\u00ad", r"a\u200bb\ufeff\xad"),
    "tags": ("a\U000e0041", r"a\U000e0041"),
    "half a surrogate": ("\ud800", r"\ud800"),
    "NUL": ("a\0b", r"a\x00b"),
}
PLAIN = ["incoming/受注/2026年　夏.csv.gz.age", "がギ", "[red]x[/red]", r"C:\dir", "a\u00a0b", "عربى", "'; DROP TABLE files; --", "🚚"]


def test_the_command_has_a_faithful_copy() -> None:
    copies = [ROOT / "shared/src/shared/printable.py", ROOT / "cli/src/hikyaku/printable.py"]
    assert len({path.read_text(encoding="utf-8") for path in copies}) == 1


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_what_steers_or_misleads_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("text", PLAIN)
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text


@given(st.text(st.characters()))
def test_whatever_it_is_one_line_comes_out_and_nothing_unseen(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert printable(shown) == shown
    shown.encode()


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_an_error_is_printable_from_its_birth(text: str, shown: str) -> None:
    """So it is in the ledger, in the log, and in the dead letter's attributes."""
    error = Rejected("columns_mismatch", f"no column {text}")
    assert (error.message, str(error)) == (f"no column {shown}", f"columns_mismatch: no column {shown}")
    assert Problem.of(error).message == f"no column {shown}"


COLOUR = re.compile("\x1b\\[[0-9]+m")
"""What the console's renderer itself writes, and no hostile text here."""
LOG = """
import logging as std, sys
from shared import logging
logging.configure('poller', 'p1', {0!r}, 'INFO')
log = logging.get_logger()
text = {1!r}
log.info('received', key=text, keys=[text], more={{'a': (text,)}})
std.getLogger('library').warning('said %s', text)
try:
    raise ValueError(text)
except ValueError:
    log.exception('broken')
"""


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_line_of_a_log_can_be_forged(log_format: str, text: str, shown: str) -> None:
    command = [sys.executable, "-c", LOG.format(log_format, text)]
    err = COLOUR.sub("", subprocess.run(command, capture_output=True, check=True, timeout=60).stderr.decode())
    for line in err.split("\n"):
        assert printable(line) == line
    if log_format == "json":
        received, said, broken = map(json.loads, err.splitlines())
        assert (received["key"], received["keys"], received["more"]) == (shown, [shown], {"a": [shown]})
        assert said["event"] == f"said {shown}"
        assert "\nValueError: " in broken["exception"]
    else:
        assert err.count("poller") == 3, "a line each, and the traceback below the last"


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_the_command_says_an_error_in_lines_of_its_own(text: str, shown: str) -> None:
    assert UserError(text, hint=f"see {text}").lines() == [f"hikyaku: {shown}", f"  see {shown}"]


@pytest.mark.parametrize("text", [text for text, _ in HOSTILE.values()], ids=HOSTILE)
def test_json_for_a_script_holds_the_very_text_and_steers_no_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.json_line({"key": text})
    out = capsys.readouterr().out
    assert printable(out[:-1]) == out[:-1]
    assert json.loads(out) == {"key": text}


def test_markup_in_a_table_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    key = "[red]x[/red]\x1b[31m\u202e[link=https://x.invalid]y[/link]"
    output.console().print(output.table(["key"], [[key]]))
    output.console().print(output.pairs({"key": key}))
    output.note(key)
    told = capsys.readouterr()
    for text in (told.out.replace("\n", ""), told.err):
        assert r"[red]x[/red]\x1b[31m\u202e[link=https" in text


def test_a_files_name_is_no_markup_beside_its_bar() -> None:
    written = io.StringIO()
    with progress_bars(Console(file=written, force_terminal=True, width=120)) as progress:
        progress.add_task("read  [/red][red]x", total=1)
    assert "[/red][red]x" in written.getvalue()
