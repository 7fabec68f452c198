"""`hikyaku replay`: the events of object versions, sent again to the ingest queue."""
