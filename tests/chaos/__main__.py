"""`python -m chaos`: exit code 1 on any violation."""

import sys

from rich.console import Console

from chaos import options
from chaos.mutant import MUTANTS
from chaos.report import WIDTH
from chaos.run import run
from chaos.storm import calm_s

if __name__ == "__main__":
    sys.exit(1 if run(options.parse(None, list(MUTANTS), calm_s()), Console(width=WIDTH)).findings else 0)
