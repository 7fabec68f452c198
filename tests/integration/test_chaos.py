"""The short chaos run, with a fixed seed: kills and outages of every kind, and every file is loaded exactly once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
SEED = 1
WITHIN_S = 280


@pytest.mark.timeout(WITHIN_S + 20)
def test_a_short_storm_loses_doubles_and_disorders_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--short", "--seed", str(SEED)],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, "see the table above; its last line tells how to repeat the run"
