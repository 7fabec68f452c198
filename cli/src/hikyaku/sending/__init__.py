"""The sender's commands."""
