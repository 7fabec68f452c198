"""What a rebuild reads: the decryptor's settings for opening files, the loader's for loading them; no Redis."""

from pydantic import SecretStr

from decryptor.settings import DecryptorSettings
from loader.settings import LoaderSettings


class RebuildSettings(DecryptorSettings, LoaderSettings):
    """`HIKYAKU_DATABASE_URL` is of `hikyaku_owner` here: whoever makes tables."""

    redis_url: SecretStr = SecretStr("")
    bucket: str
    """S3 bucket of the line."""
