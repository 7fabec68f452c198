"""What there is: the bucket's versions, the ledger's rows and the queues' messages, streamed and side by side."""
