"""Some of `make hostile`, with a fixed seed: each bad input is refused for what it is, out of the main queue, and a good file follows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
SEED = 1
WITHIN_S = 280


@pytest.mark.timeout(WITHIN_S + 20)
def test_bad_input_of_every_kind_is_refused_for_what_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hostile", "--short", "--seed", str(SEED)],
        env=os.environ | {"PYTHONPATH": f"{TESTS}:{TESTS / 'integration'}"},
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, "see the table above; its last lines tell what is wrong"
