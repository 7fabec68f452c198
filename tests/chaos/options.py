"""What a run is told."""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass

SHORT_STORM_S = 70.0
SHORT_KILLS, SHORT_FILES = 60, 150
FILES_PER_SECOND = 1.0
"""Of a run of outages only: one waits at each end."""


@dataclass(frozen=True)
class Options:
    """One run: the same options and seed give the same files, the same schedule and the same choices."""

    seed: int
    storm_s: float
    kills: int
    files: int
    short: bool
    mutant: str = ""
    keep: bool = False
    outages: bool = False
    """No storm: long outages only, one after the other."""

    @property
    def again(self) -> str:
        """The command that repeats this run."""
        size = f"--minutes {self.storm_s / 60:g} --kills {self.kills} --files {self.files}"
        size = "--short" if self.short else "--outages" if self.outages else size
        mutant = f" --mutant {self.mutant}" if self.mutant else ""
        return f"make chaos ARGS='{size} --seed {self.seed}{mutant}'"


def parse(arguments: Sequence[str] | None, mutants: Sequence[str], outages_s: float) -> Options:
    """Read the command line; `outages_s` is how long all long outages take."""
    parser = argparse.ArgumentParser(
        prog="chaos", description="Kills, cuts and repeats everything on a real stack: every file must be loaded exactly once."
    )
    parser.add_argument("--seed", type=int, help="the same seed gives the same run (a new one unless told)")
    parser.add_argument("--minutes", type=float, default=50.0, help="of storm; starting and settling take a few minutes more")
    parser.add_argument("--kills", type=int, default=1200, help="a third of them at the services' failpoints")
    parser.add_argument("--files", type=int, default=2100)
    parser.add_argument("--short", action="store_true", help=f"{SHORT_KILLS} kills over {SHORT_FILES} files, within 3 minutes")
    parser.add_argument(
        "--outages", action="store_true", help="no storm: each dependency is away for a minute, one at a time (half an hour in all)"
    )
    parser.add_argument("--mutant", default="", choices=["", *mutants], help="break the product on purpose, to see it caught")
    parser.add_argument("--keep", action="store_true", help="leave the stack's folder and its logs behind, as after a violation")
    told = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1_000_000) if told.seed is None else told.seed
    storm_s, kills, files = (SHORT_STORM_S, SHORT_KILLS, SHORT_FILES) if told.short else (told.minutes * 60, told.kills, told.files)
    if told.outages:
        storm_s, kills, files = outages_s, 0, round(outages_s * FILES_PER_SECOND)
    return Options(seed, storm_s, kills, files, told.short, told.mutant, told.keep, told.outages)
