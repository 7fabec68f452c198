"""`hikyaku demo`: the whole way of a file, with real data. Nothing here needs the extra `local`, except `own_stack`."""
