"""What must hold before a decrypted file is published: here, that it is the object that the event announced, whole.

The sender's signature belongs here as well: its manifest (metadata of the same object) names bucket, key, size and SHA-256,
all of which are known once `received` has passed. Until that check exists nobody vouches for who sent a file:
age authenticates no sender.
"""

import base64

from decryptor.download import Download, Source
from shared.contract import FileRef
from shared.errors import ErrorCode, Rejected


def announced(download: Download, event: FileRef) -> None:
    """Compare S3's answer with the event, before any byte is read.

    Raises:
        Rejected: `object_changed` or `size_mismatch`.
    """
    if event.etag and event.etag.strip('"') != download.etag:
        raise Rejected(
            ErrorCode.OBJECT_CHANGED, "the object's ETag is not the event's: it was replaced, the newer upload has its own event"
        )
    if event.size != download.size:
        raise Rejected(ErrorCode.SIZE_MISMATCH, f"the object has {download.size} bytes, its event says {event.size}")


def received(source: Source, download: Download) -> None:
    """Compare what came over the wire with what S3 said it would send.

    Raises:
        Rejected: `size_mismatch` or `hash_mismatch`.
    """
    if source.size != download.size:
        raise Rejected(ErrorCode.SIZE_MISMATCH, f"{source.size} bytes arrived of the object's {download.size}")
    if download.sha256 is not None and base64.b64decode(download.sha256) != source.sha256:
        raise Rejected(ErrorCode.HASH_MISMATCH, "the SHA-256 of the bytes received is not the one that S3 keeps")
