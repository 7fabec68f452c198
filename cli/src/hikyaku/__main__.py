"""Console entry point: `hikyaku …` and `python -m hikyaku …`."""

import sys

from hikyaku.app import app
from hikyaku.errors import UserError


def main() -> None:
    """Run the command; what a person can mend is said in a sentence, without a traceback."""
    try:
        app()
    except UserError as error:
        sys.stderr.write("\n".join([*error.lines(), ""]))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
