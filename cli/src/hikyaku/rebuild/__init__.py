"""`hikyaku rebuild`: what the bucket still has of a dataset, loaded once more, by the same code, into another table."""
