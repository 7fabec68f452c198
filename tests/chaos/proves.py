"""`python -m chaos.proves`: the product is broken on purpose in three ways, and a short storm must catch each for its own reason."""

import sys

from rich.console import Console

from chaos.model import Harm
from chaos.options import Options
from chaos.report import WIDTH
from chaos.run import run

MUST_FIND = {
    "settle-before-commit": Harm.LOST,
    "ledger-outside-transaction": Harm.DOUBLED,
    "no-sequencer-guard": Harm.WRONG_ORDER,
}
SEED = 20261125
STORM_S, KILLS, FILES = 42.0, 60, 120


def main() -> int:
    """Run each mutant; 1 if one survives."""
    console = Console(width=WIDTH)
    caught = {}
    for mutant, harm in MUST_FIND.items():
        result = run(Options(SEED, STORM_S, KILLS, FILES, short=False, mutant=mutant), console)
        caught[mutant] = sum(finding.harm is harm for finding in result.findings)
    for mutant, count in caught.items():
        console.print(
            f"{mutant}: {f'caught, {MUST_FIND[mutant]} {count}' if count else '[bold red]NOT CAUGHT[/bold red]'}", highlight=False
        )
    return 0 if all(caught.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
