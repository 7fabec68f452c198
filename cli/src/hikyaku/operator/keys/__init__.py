"""`hikyaku keys`: the identities that open files, exchanged as plan, overlap, and an end with evidence."""
