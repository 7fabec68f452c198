"""Settings of the decryptor."""

from pathlib import Path

from pydantic import Field

from shared.settings import AwsSettings, WorkerSettings


class DecryptorSettings(WorkerSettings, AwsSettings):
    """What the decryptor reads beyond a worker's settings. AWS is told by the SDK's own variables."""

    identities_dir: Path
    """Directory of age identity files and OpenSSH ed25519 private keys, see `decryptor.keyring`."""
    allowed_signers: Path | None = None
    """OpenSSH allowed_signers file with the senders' public keys, see `decryptor.signers`. It need not exist: then nobody is known."""
    openpgp_senders: Path | None = None
    """Folder with the senders' OpenPGP public keys, see `decryptor.openpgp_senders`. It need not exist: then nobody is known by one."""
    gnupg_dir: Path = Path("/dev/shm")  # noqa: S108 - homes are made there under random names, 0700
    """Where gpg gets a home for each OpenPGP file: a tmpfs, for the secret keys are there while it is opened."""
    receipt_key_file: Path | None = None
    """OpenSSH ed25519 private key without a passphrase, which signs receipts; while there is none they are unsigned. Read at start."""
    manifest_max_age: int | None = Field(default=None, ge=1)
    """Seconds that a signed manifest, or an OpenPGP signature, may be older than its object in S3; any age unless set."""
    s3_connect_timeout: float = Field(default=5, gt=0)
    """Seconds to wait for a connection to S3, each of `s3_attempts` times."""
    s3_read_timeout: float = Field(default=30, gt=0)
    """Seconds to wait for the next byte from S3."""
    s3_attempts: int = Field(default=3, ge=1, le=10)
    """How often a request is sent before it counts as failed; a file that failed is tried again through SQS."""
    max_file_bytes: int | None = Field(default=None, ge=1)
    """Bytes of an object above which it is refused unread; the spool and its dataset's `max_bytes` are bounds in any case."""
    decrypt_timeout: int = Field(default=300, ge=1)
    """Seconds that download and decryption of one file may take, plus a second per 2 MB; then it is tried again later."""
    spool_max_age: int = Field(default=6 * 3600, ge=60)
    """Seconds after which a published file that no loader took is removed. SQS sends it round again if it is still due."""
    spool_sweep_interval: int = Field(default=300, ge=1)
    """Seconds between two sweeps of the spool."""
