"""A simulation that finds nothing proves nothing: each mutation of the product must be found within its budget."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from simulation.mutations import MUTATIONS
from simulation.play import play
from simulation.schedule import Schedule, schedules
from simulation.stage import Stage, stage

BUDGET = 4000
"""Schedules, the same ones each time."""


@pytest.fixture(scope="module")
def the_stage() -> Iterator[Stage]:
    with stage() as built:
        yield built


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_mutation_is_found(the_stage: Stage, name: str) -> None:
    mutation, harm = MUTATIONS[name]
    tried = 0

    def harms(schedule: Schedule) -> bool:
        nonlocal tried
        tried += 1
        return any(harm in found for found in play(the_stage, schedule).harms)

    with mutation():
        try:
            find(
                schedules,
                harms,
                settings=settings(
                    max_examples=BUDGET,
                    derandomize=True,
                    database=None,
                    deadline=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        except NoSuchExample:
            pytest.fail(f"{tried} schedules did not find: {name}")
