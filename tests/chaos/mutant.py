"""A service of the product, broken on purpose: `python -m chaos.mutant MUTANT SERVICE`. The sources stay as they are."""

import runpy
import sys
import time
from collections.abc import Callable
from typing import Any

import botocore.client

from shared.protocol import FileStatus

GAP_S = 0.25
"""Between the two commits of the ledger mutant: a wide window in place of a narrow one, so that a short run falls into it."""


def settle_before_commit() -> None:
    """The poller deletes each message when it receives it."""
    client_class: Any = botocore.client.BaseClient
    call = client_class._make_api_call

    def greedy(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        answer = call(client, operation, parameters)
        if operation == "ReceiveMessage":
            for message in answer.get("Messages", []):
                call(client, "DeleteMessage", {"QueueUrl": parameters["QueueUrl"], "ReceiptHandle": message["ReceiptHandle"]})
        return answer

    client_class._make_api_call = greedy


def ledger_outside_transaction() -> None:
    """The loader commits the rows first, and then, in a transaction of its own, the ledger's row."""
    from loader import ledger, loading  # noqa: PLC0415 - the other services lack it

    def load_file(connection: Any, job: Any, spool_dir: Any, shelf: Any) -> Any:
        with connection.transaction():
            claim = ledger.claim(connection, job)
            if isinstance(claim, FileStatus):
                return ledger.Outcome(claim)
            outcome = loading._carry(connection, job, claim, spool_dir, shelf)
        time.sleep(GAP_S)
        with connection.transaction():
            ledger.finish(connection, job, outcome)
        return outcome

    loading.load_file = load_file


def no_sequencer_guard() -> None:
    """The loader does not ask whether something newer was loaded."""
    from loader import statements  # noqa: PLC0415 - the other services lack it

    for name in ("CLAIM", "STANDING"):
        setattr(statements, name, getattr(statements, name).replace(statements._SUPERSEDED, b" false "))


MUTANTS: dict[str, tuple[str, Callable[[], None]]] = {
    "settle-before-commit": ("poller", settle_before_commit),
    "ledger-outside-transaction": ("loader", ledger_outside_transaction),
    "no-sequencer-guard": ("loader", no_sequencer_guard),
}
"""By name: the service that is broken, and how."""


def main(mutant: str, service: str) -> None:
    """Break the service if it is the one, and become it."""
    broken, how = MUTANTS[mutant]
    if service == broken:
        how()
    runpy.run_module(service, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
