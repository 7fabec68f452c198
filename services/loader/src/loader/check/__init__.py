"""Holds datasets.toml against the database, with the loader's own eyes, and writes nothing."""
