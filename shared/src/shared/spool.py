"""The spool: where a decrypted file waits for the loader. Both services mount it; names tell the file, never the content."""

from pathlib import Path


def published(spool_dir: Path, file_id: str) -> Path:
    """Where the authentic, decrypted file lies once the decryptor has published it by rename."""
    return spool_dir / f"{file_id}.csv.gz"


def partial(spool_dir: Path, file_id: str, attempt: str) -> Path:
    """Where one attempt writes before all of it is authentic. Its name is its own, so attempts can't mix."""
    return spool_dir / f".{file_id}.{attempt}.part"
