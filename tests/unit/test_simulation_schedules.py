"""Many schedules: whatever comes between, no row is lost or doubled, and every message settles."""

import os
import random
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, seed, settings

from simulation.play import run
from simulation.schedule import Schedule, schedules
from simulation.stage import Stage, stage

EXAMPLES = int(os.environ.get("HIKYAKU_SIMULATION_EXAMPLES", "0"))
"""How many schedules, chosen by a seed; 0: those that CI plays, always the same."""
SEED = int(os.environ.get("HIKYAKU_SIMULATION_SEED") or random.getrandbits(32))
IN_CI = 1000


@pytest.fixture(scope="module")
def the_stage() -> Iterator[Stage]:
    with stage() as built:
        yield built


@pytest.fixture(autouse=True)
def told_seed() -> None:
    """For whoever wants to play a failing run again: pytest shows what was written when a test fails."""
    sys.stdout.write(f"HIKYAKU_SIMULATION_SEED={SEED if EXAMPLES else 'always the same'}\n")


def seeded(test: Callable[..., None]) -> Callable[..., None]:
    """Hypothesis takes no seed where it is to choose the same examples each time."""
    return seed(SEED)(test) if EXAMPLES else test


@seeded
@pytest.mark.timeout(0 if EXAMPLES else 300)
@settings(
    max_examples=EXAMPLES or IN_CI,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
@given(schedule=schedules)
def test_every_schedule_ends_well(the_stage: Stage, schedule: Schedule) -> None:
    run(the_stage, schedule)
