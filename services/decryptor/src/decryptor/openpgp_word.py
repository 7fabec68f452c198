"""Who vouches for an OpenPGP file: the sender's signature in it, or the signed manifest beside it, by the policy of its dataset.

A signature in the message is of the content alone: not of the object's key, its number or its group, which only a signed manifest binds.
So where it is all that there is, what an unsigned manifest states beside it is not passed on as the sender's word.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from decryptor.openpgp_senders import Sender
from decryptor.openpgp_status import Signature
from decryptor.sender import Word
from decryptor.signers import matches
from shared.contract import FileRef
from shared.datasets import Dataset
from shared.errors import ErrorCode, Rejected


def vouched(
    word: Word, signature: Signature | None, file: FileRef, dataset: Dataset, *, senders: Mapping[str, Sender], max_age: int | None
) -> Word:
    """What is stated of a file once it is open.

    Args:
        word: what the object's metadata says.
        signature: by one of `senders`.
        file: when S3 took it.
        dataset: whose policy holds.
        senders: by the fingerprint of their primary keys.
        max_age: seconds that a signature may be older than its object; None for any age.

    Raises:
        Rejected: `signature_missing`, `signature_invalid` or `signer_not_allowed`.
    """
    if signature is None:
        _settled(word, dataset)
        return word
    _allowed(senders[signature.primary].name, signature, dataset)
    if word.signer:
        return word
    if max_age is not None and datetime.fromisoformat(file.event_time).astimezone(UTC) - _made(signature) > timedelta(seconds=max_age):
        message = "the OpenPGP signature is older than HIKYAKU_MANIFEST_MAX_AGE allows: was an old file put again?"
        raise Rejected(ErrorCode.SIGNATURE_INVALID, message)
    if word.manifest is not None and word.manifest.group is not None:
        message = "the file is a part of a group, of which an OpenPGP signature says nothing: sign the manifest too (--sign)"
        raise Rejected(ErrorCode.SIGNATURE_MISSING, message)
    return Word(signer=signature.primary, key=signature.primary)


def _settled(word: Word, dataset: Dataset) -> None:
    if word.owes_signature:
        message = f"dataset {dataset.name} takes files of known senders only, and this one is not signed: send it with --gpg-sign or --sign"
        raise Rejected(ErrorCode.SIGNATURE_MISSING, message)


def _allowed(name: str, signature: Signature, dataset: Dataset) -> None:
    if not any(matches(name, pattern) for pattern in dataset.senders):
        message = f"{name} (OpenPGP key {signature.primary}) is not among the senders of dataset {dataset.name} in datasets.toml"
        raise Rejected(ErrorCode.SIGNER_NOT_ALLOWED, message)


def _made(signature: Signature) -> datetime:
    return datetime.fromtimestamp(signature.made_at, UTC)
