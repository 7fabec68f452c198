"""`hikyaku audit`: the bucket, the ledger, the dead-letter queue and the senders' numbers, each held against the others."""
