"""Who sent a file: the manifest and its signature in the object's metadata, judged before a byte is decrypted.

A signature vouches for the very bytes of the manifest, so it is checked before they are understood. What the manifest states of the
object is for `decryptor.verify` to compare, and holds without a signature too: then it tells of accidents, not of forgers.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from decryptor import signature
from decryptor.download import Download
from decryptor.signers import AllowedSigners, matches, vouched
from shared import manifest
from shared.contract import Declared, FileRef
from shared.datasets import Dataset, SignaturePolicy
from shared.datasets_file import DatasetsFile
from shared.errors import ErrorCode, Rejected
from shared.manifest import Manifest, unpacked

OPENPGP = ".gpg"
"""Suffix of keys."""


@dataclass(frozen=True, slots=True)
class Word:
    """What is stated of a file, and who vouches for it."""

    manifest: Manifest | None = None
    signer: str | None = None
    key: str | None = None
    """Fingerprint of the signer's key."""
    owes_signature: bool = False
    """Its dataset asks for one, which may yet be found in the file: OpenPGP signs within the encryption."""

    @property
    def declared(self) -> Declared | None:
        """For the loader."""
        said = self.manifest
        if said is None:
            return None
        return Declared(
            sender=said.sender,
            seq=said.seq,
            created_at=said.created_at.isoformat(),
            rows=said.rows,
            group=said.group,
            part=said.part,
            parts=said.parts,
        )


class Senders:
    """Judges who sent what.

    Args:
        datasets: say what is asked of each.
        signers: who is known.
        max_age: seconds that a signed manifest may be older than its object; None for any age.
    """

    def __init__(self, datasets: DatasetsFile, signers: AllowedSigners, max_age: int | None = None) -> None:
        self._datasets = datasets
        self._signers = signers
        self._max_age = max_age

    def word(self, download: Download) -> Word:
        """What the object's metadata says, by the policy of its dataset.

        Raises:
            Rejected: `signature_missing`, `signature_invalid`, `signer_unknown`, `signer_expired`, `signer_not_allowed`,
                `manifest_invalid`, `manifest_mismatch`; `dataset_invalid`, the key belongs to none.
        """
        dataset = self._datasets.current().of(download.file.key)
        # S3 makes the names small; others who speak its language may not.
        found = {name.lower(): value for name, value in download.metadata.items()}
        said, signed = found.get(manifest.METADATA), found.get(manifest.SIGNATURE)
        if signed is None or dataset.signature is SignaturePolicy.OFF:
            owes = is_openpgp(download.file) and dataset.signature is SignaturePolicy.REQUIRED
            if not owes:
                _unsigned_will_do(dataset, said, download)
            return Word(None if said is None else Manifest.read(unpacked(said, "manifest")), owes_signature=owes)
        if said is None:
            raise Rejected(ErrorCode.MANIFEST_INVALID, "the object has a signature in its metadata, and no manifest that it is of")
        return self._signed(unpacked(said, "manifest"), unpacked(signed, "signature"), dataset, download.file.event_time)

    def _signed(self, text: bytes, blob: bytes, dataset: Dataset, event_time: str) -> Word:
        signed = signature.read(blob)
        signers = self._signers.current()
        if all(signer.key != signed.key for signer in signers):
            message = f"no line of allowed_signers has the key {signature.fingerprint(signed.key)}, which signed the file"
            raise Rejected(ErrorCode.SIGNER_UNKNOWN, message)
        signature.check(signed, text)
        said = Manifest.read(text)
        # S3's own time of the object, which no sender chooses: a key that has run out can't be dated back into its days.
        at = datetime.fromisoformat(event_time).astimezone(UTC)
        vouched(signers, signed.key, said.sender, at)
        if not any(matches(said.sender, pattern) for pattern in dataset.senders):
            message = f"{said.sender} is not among the senders of dataset {dataset.name} in datasets.toml"
            raise Rejected(ErrorCode.SIGNER_NOT_ALLOWED, message)
        if self._max_age is not None and at - said.created_at > timedelta(seconds=self._max_age):
            message = "the manifest's created_at is longer ago than HIKYAKU_MANIFEST_MAX_AGE allows: was an old file put again?"
            raise Rejected(ErrorCode.MANIFEST_MISMATCH, message)
        return Word(said, said.sender, signature.fingerprint(signed.key))


def is_openpgp(file: FileRef) -> bool:
    """Whether its key says so."""
    return file.key.endswith(OPENPGP)


def _unsigned_will_do(dataset: Dataset, said: str | None, download: Download) -> None:
    if dataset.signature is SignaturePolicy.REQUIRED:
        lost = f" (S3 keeps {download.missing} entries of metadata that it can't give as headers)" if download.missing else ""
        has = "a manifest and no signature" if said else "no signature"
        message = f"dataset {dataset.name} takes files of known senders only, and this one has {has}{lost}: send it with --sign"
        raise Rejected(ErrorCode.SIGNATURE_MISSING, message)
