"""A decryptor that takes unsigned files, for tests of everything else."""

from pathlib import Path

from decryptor.sender import Senders
from decryptor.signers import AllowedSigners
from shared.datasets_file import DatasetsFile


def anyone(datasets: Path) -> Senders:
    """Write a datasets.toml that asks for no signature."""
    datasets.write_text('[defaults]\nsignature = "if_present"\n', encoding="utf-8")
    return Senders(DatasetsFile(datasets), AllowedSigners(None))
