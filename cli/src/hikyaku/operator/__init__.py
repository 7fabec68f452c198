"""The operator's commands: look at the ledger and the queues, and mend what needs a person."""
