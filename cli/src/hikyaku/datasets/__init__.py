"""What the command does with datasets.toml."""
