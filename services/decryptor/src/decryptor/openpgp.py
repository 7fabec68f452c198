"""Opening an OpenPGP message (RFC 4880) with the keys of the keyring, by GnuPG, see docs/adr/0009-gnupg.md.

Plaintext reaches the sink before gpg has seen the end, so nothing may be published before `open` has returned.
"""

import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from decryptor import caps, gnupg_keys
from decryptor.decrypt import Sink
from decryptor.download import Source
from decryptor.gnupg import Gnupg, missing
from decryptor.gnupg_home import GnupgError
from decryptor.gnupg_keys import KeyFile
from decryptor.gnupg_pump import Pump
from decryptor.keyring import Keyring
from decryptor.openpgp_senders import OpenPgpSenders
from decryptor.openpgp_status import Status
from decryptor.openpgp_verdict import Opened, judge
from decryptor.openpgp_word import vouched
from decryptor.sender import Word
from shared.contract import FileRef
from shared.datasets import Dataset, SignaturePolicy
from shared.datasets_file import DatasetsFile
from shared.errors import ErrorCode, Rejected, Retryable

ARMOR = b"-----BEGIN PGP"
PACKET = 0x80
"""Set in the first byte of every packet (RFC 4880, section 4.2)."""
RATIO = 10
"""gpg may unpack a message to so many times its size: what is packed in it is gzip already, which does not shrink much further."""
UNCONDITIONAL = 16 * 1024**2
"""And so many bytes are no bomb."""
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


@dataclass(slots=True)
class OpenPgp:
    """Opens messages."""

    keyring: Keyring
    gnupg: Gnupg
    senders: OpenPgpSenders
    datasets: DatasetsFile
    max_age: int | None = None
    """Seconds that a signature may be older than its object."""
    _of: tuple[KeyFile, ...] = ()
    _ring: dict[str, bytes] | None = None
    """The files of a home with the keys `_of`, read by gpg once."""

    def open(self, source: Source, sink: Sink, file: FileRef, word: Word) -> tuple[str, Word]:
        """Decrypt all of `source` into `sink`.

        Args:
            source: the message.
            sink: for what is in it.
            file: whose dataset says how large it may be, and whether its signature is looked at.
            word: what the object's metadata says of it.

        Returns:
            Fingerprint of the key that opened it, and what is stated of it now, and by whom.

        Raises:
            Rejected: what `decryptor.openpgp_verdict` and `decryptor.openpgp_word` say, `no_matching_identity` or `too_large`.
            Retryable: `gpg_unavailable`; what source or sink raise; the keyring is not in order, and the file is for none of the rest.
        """
        _binary(source)
        dataset = self.datasets.current().of(file.key)
        try:
            opened = self._opened(source, sink, file, dataset)
        except GnupgError as error:
            raise Retryable(ErrorCode.GPG_UNAVAILABLE, str(error)) from error
        except Rejected as error:
            raise self._perhaps(error) from None
        return opened.identity, vouched(word, opened.signature, file, dataset, senders=self.senders.by_fingerprint(), max_age=self.max_age)

    def _opened(self, source: Source, sink: Sink, file: FileRef, dataset: Dataset) -> Opened:
        ring = self._current_ring()
        pump = Pump(source, sink, limit(file, dataset), partial(_too_large, file, dataset))
        with self.gnupg.home(ring) as home:
            code = pump.run(lambda status: home.start(*_arguments(file, dataset), status=status))
            alive = home.stop()
        if not alive or (code < 0 and -code not in CRASHES):
            raise GnupgError("gpg or its agent was ended by somebody else")
        if code < 0:
            raise Rejected(ErrorCode.OPENPGP_INVALID, f"gpg crashed over the OpenPGP file ({signal.Signals(-code).name})")
        return judge(Status.read(bytes(pump.status)), code, self.senders.by_fingerprint(), self._key_ids())

    def _current_ring(self) -> dict[str, bytes]:
        self.keyring.refresh()
        self.senders.refresh()
        if not self.keyring.openpgp:
            raise _no_key()
        keys = (*self.keyring.openpgp, *(sender.keys for sender in self.senders.senders))
        if self._ring is None or keys != self._of:
            self._ring, self._of = gnupg_keys.ring(keys, self.gnupg), keys
        return self._ring

    def _key_ids(self) -> set[str]:
        return {key_id for key in self.keyring.openpgp for key_id in key.key_ids}

    def _perhaps(self, error: Rejected) -> Rejected | Retryable:
        """What is out of order here may be the very key: a slip of the hand must not reject good files for good."""
        for code, problems in (
            (ErrorCode.NO_MATCHING_IDENTITY, self.keyring.problems),
            (ErrorCode.SIGNER_UNKNOWN, self.senders.problems),
        ):
            if error.error_code == code and problems:
                return Retryable(code, f"{error.message}; and not all keys are in order: {'; '.join(problems)}")
        return error


def limit(file: FileRef, dataset: Dataset) -> int:
    """Bytes that a message may hold."""
    return min(max(UNCONDITIONAL, RATIO * file.size), dataset.max_bytes * caps.SLACK + caps.FLOOR)


def _too_large(file: FileRef, dataset: Dataset) -> Rejected:
    message = f"what is packed in the OpenPGP file of {file.size} bytes has more than {limit(file, dataset)}, which is no gzip of a CSV"
    return Rejected(ErrorCode.TOO_LARGE, f"{message} of dataset {dataset.name} (max_bytes; {RATIO} times its size): is it a bomb?")


def _arguments(file: FileRef, dataset: Dataset) -> tuple[str, ...]:
    # Keys are judged at S3's own time of the object, which no sender chooses, as those of allowed_signers are.
    at = datetime.fromisoformat(file.event_time).astimezone(UTC)
    looked_at = () if dataset.signature is not SignaturePolicy.OFF else ("--skip-verify",)
    return ("--faked-system-time", f"{at:%Y%m%dT%H%M%S}!", "--no-armor", "--exit-on-status-write-error", *looked_at, "--decrypt")


def _binary(source: Source) -> None:
    ahead = source.peek(len(ARMOR) + 1)
    if ahead.lstrip().startswith(ARMOR):
        raise _invalid("it is armored (text); send gpg's binary output, without --armor")
    if not ahead or not ahead[0] & PACKET:
        raise _invalid("it is no OpenPGP message")


def _no_key() -> Rejected:
    if absent := missing():
        return _invalid(f"{absent} is not installed on the host: install GnuPG, put an OpenPGP key into the keyring and redrive it")
    return Rejected(ErrorCode.NO_MATCHING_IDENTITY, "the keyring holds no OpenPGP key: put one there and redrive it")


def _invalid(reason: str) -> Rejected:
    return Rejected(ErrorCode.OPENPGP_INVALID, f"the OpenPGP file can't be used: {reason}")
