"""What must hold before a decrypted file is published: it is the object that the event announced, whole, and the one that its sender means.

What can be known before is compared before a byte is decrypted; the SHA-256 when all of it has come, before it is published.
age authenticates no sender: who vouches for the manifest is `decryptor.sender`'s to find out.
"""

import base64

from decryptor.download import Download, Source
from shared.contract import FileRef
from shared.errors import ErrorCode, Rejected
from shared.manifest import Manifest


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


def stated(manifest: Manifest | None, download: Download) -> None:
    """Compare S3's answer with the sender's manifest, before any byte is read. A file without one states nothing.

    Raises:
        Rejected: `manifest_mismatch`.
    """
    if manifest is None:
        return
    if manifest.bucket != download.file.bucket:
        raise _mismatch("bucket: the object was copied from another one")
    if manifest.key != download.file.key:
        raise _mismatch("key: the object was copied or renamed, or the manifest is another file's")
    if manifest.size != download.size:
        raise _mismatch(f"size: the object has {download.size} bytes, its sender stated {manifest.size}")


def received(source: Source, download: Download, manifest: Manifest | None = None) -> None:
    """Compare what came over the wire with what S3 said it would send, and with what the sender stated.

    Raises:
        Rejected: `size_mismatch`, `hash_mismatch` or `manifest_mismatch`.
    """
    if source.size != download.size:
        raise Rejected(ErrorCode.SIZE_MISMATCH, f"{source.size} bytes arrived of the object's {download.size}")
    if download.sha256 is not None and base64.b64decode(download.sha256) != source.sha256:
        raise Rejected(ErrorCode.HASH_MISMATCH, "the SHA-256 of the bytes received is not the one that S3 keeps")
    if manifest is not None and manifest.sha256 != source.sha256.hex():
        raise _mismatch("sha256: the object was altered, or the manifest is another file's")


def _mismatch(what: str) -> Rejected:
    return Rejected(ErrorCode.MANIFEST_MISMATCH, f"the file is not what its manifest states, in {what}")
