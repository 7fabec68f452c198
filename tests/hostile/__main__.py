"""`python -m hostile`: exit code 1 when anything is not as it must be."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from line import Line
from rich.console import Console

from hostile import report, stage
from hostile.run import run

WIDTH = 150


def main() -> int:
    """One run on a stack of its own; its folder stays when something is wrong."""
    parser = argparse.ArgumentParser(prog="hostile", description="Bad input of every kind through the whole line, on a stack of its own.")
    parser.add_argument("--short", action="store_true", help="some cases of each batch")
    parser.add_argument("--seed", type=int, help="the same seed gives the same run (a new one unless told)")
    parser.add_argument("--only", default="", metavar="NAME", help="batches of whose names this is a part")
    parser.add_argument("--keep", action="store_true", help="leave the stack's folder and its logs behind")
    told = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if told.seed is None else told.seed
    console, folder = Console(width=WIDTH), Path(tempfile.mkdtemp(prefix="hikyaku-hostile-"))
    console.print(f"seed {seed}, stack in {folder}", soft_wrap=True)
    stage.local("up", folder)
    try:
        result = run(Line(folder), random.Random(seed), console, short=told.short, only=told.only)
    finally:
        stage.local("down", folder)
    report.show(console, result)
    if not result.findings and not told.keep:
        shutil.rmtree(folder)
    return 1 if result.findings else 0


if __name__ == "__main__":
    sys.exit(main())
