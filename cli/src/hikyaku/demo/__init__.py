"""`hikyaku demo`: the whole way of a file, on this machine, with real data."""
