"""Kills, cuts and repeats everything on a real stack, and proves that every file is still loaded exactly once: `python -m chaos --help`."""
