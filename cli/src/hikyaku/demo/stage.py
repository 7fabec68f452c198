"""Where the demo's story is played: on a stack that is there already, such as the containers, or on one of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hikyaku import endpoints
from hikyaku.errors import UserError

DEMO = "HIKYAKU_DEMO"
NEEDED = (
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "HIKYAKU_BUCKET",
    "HIKYAKU_DLQ_URL",
    "HIKYAKU_DATABASE_URL",
    "HIKYAKU_RECIPIENT",
    "HIKYAKU_DATASETS",
    "HIKYAKU_FLOWER_URL",
)
"""Of endpoints.env, by the demo."""
IN_CONTAINERS = "docker compose --profile local up -d --wait, then docker compose --profile local run --rm cli demo"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stack to play on.

    Attributes:
        endpoints: its endpoints.env.
        demo: folder of the demo's files.
        logs: a sentence that says how to look at its logs.
        start_over: a command that empties it.
    """

    endpoints: Path
    demo: Path
    logs: str
    start_over: str


def given(environment: Mapping[str, str]) -> Stage | None:
    """The stack that HIKYAKU_ENDPOINTS names, None when it names none.

    Raises:
        UserError: it names a file that is not there, or there are no demo files.
    """
    if not environment.get(endpoints.VARIABLE):
        return None
    stage = Stage(
        endpoints=Path(environment[endpoints.VARIABLE]),
        demo=Path(environment.get(DEMO) or "demo").absolute(),
        logs="Look at the logs: docker compose --profile local logs",
        start_over="docker compose --profile local down --volumes",
    )
    if not stage.endpoints.exists():
        raise UserError(
            f"There is no {stage.endpoints}, so there is no stack to play on: the demo is for a laptop, not for a host that serves.",
            hint=f"Start one: {IN_CONTAINERS}",
            exit_code=2,
        )
    if not (stage.demo / "tables.sql").exists():
        raise UserError(f"{stage.demo} does not hold the demo's files.", hint=f"Set {DEMO} to the folder demo of a checkout.", exit_code=2)
    return stage
