"""Carries files: seals each, states what it is, and hands both to an upload."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from rich.progress import Progress, TaskID

from hikyaku import split
from hikyaku.errors import UserError
from hikyaku.manifest import Part, Voucher
from hikyaku.parcel import Readable, Sealed
from hikyaku.printable import printable
from hikyaku.sending.destination import Destination
from hikyaku.sending.memory import Before, Memory
from hikyaku.sending.sealer import Sealer
from hikyaku.sending.source import opened
from hikyaku.sending.upload import INTERRUPTED, Upload
from hikyaku.split import Splitting

MEMORY_FOR_CIPHERTEXT = 8 * 1024 * 1024
"""Up to here the ciphertext waits in memory, above it in a temporary file: only ciphertext ever does."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that arrived in S3."""

    name: str
    key: str
    sealed: Sealed
    version_id: str = ""
    """Empty where S3 did not tell it."""
    before: Before | None = None
    """The same content's last way to the same dataset."""


@dataclass(frozen=True, slots=True)
class _Sealing:
    """What one object is made of."""

    name: str
    key: str
    source: Readable
    compress: bool
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class Courier:
    """Carries files to one destination.

    Attributes:
        upload: puts objects.
        to: bucket and key.
        sealer: encrypts.
        progress: shows how far it is.
        voucher: makes manifests, which travel in the same PUT; without one, nobody states anything.
        memory: of what was sent before; without one, nothing is remembered.
    """

    upload: Upload
    to: Destination
    sealer: Sealer
    progress: Progress
    voucher: Voucher | None = None
    memory: Memory | None = None

    def send(self, file: Path) -> Sent:
        """Gzip, encrypt and upload one file, or standard input; what is gzip already is not packed again.

        Raises:
            OSError: the file can't be read.
            UserError: S3 said no, or it can't be signed, or somebody pressed Ctrl-C.
        """
        with opened(file) as source:
            key = self.to.key(source.name, self.sealer.suffix)
            sealing = _Sealing(source.name, key, source.reader, compress=not source.packed)
            return self._carry(sealing, self._reading(source.name, source.size))

    def send_parts(self, file: Path, how: Splitting) -> Iterator[Sent]:
        """Send one file as a group of parts, which are loaded together, or not at all. One that fits into one part goes whole.

        It is read twice: each part says of how many it is one. Only one part's ciphertext waits at a time.

        Raises:
            OSError: the file can't be read.
            UserError: it can't be cut, S3 said no, or it changed meanwhile.
        """
        with split.opened(file) as source:
            cut = split.find_cuts(source, how.size, header=how.header)
        if len(cut.ends) == 1:
            yield self.send(file)
            return
        with split.opened(file) as source:
            yield from self._each_part(file, split.Parts(source, cut), cut, how)

    def _each_part(self, file: Path, parts: split.Parts, cut: split.Cut, how: Splitting) -> Iterator[Sent]:
        reading, count = self._reading(file.name, cut.ends[-1]), len(cut.ends)
        whole, group = self.to.key(file.name, self.sealer.suffix), how.group or cut.group(file)
        for number, source in enumerate(parts, 1):
            part = _Sealing(file.name, split.part_key(whole, number, count), source, compress=True, part=Part(group, number, count))
            with self._sealed(part, reading) as (sealed, ciphertext):
                if number == count and not parts.is_unchanged():
                    what = f"{file.name} changed while it was sent: its last part was kept back, so none of it will be loaded."
                    raise UserError(what, hint="Send it again when nobody writes to it.")
                sent = self._put(part, sealed, ciphertext)
            yield sent

    def _carry(self, sealing: _Sealing, reading: "_Task") -> Sent:
        with self._sealed(sealing, reading) as (sealed, ciphertext):
            reading.end()
            return self._put(sealing, sealed, ciphertext)

    @contextmanager
    def _sealed(self, sealing: _Sealing, reading: "_Task") -> Iterator[tuple[Sealed, IO[bytes]]]:
        with tempfile.SpooledTemporaryFile(MEMORY_FOR_CIPHERTEXT) as ciphertext:
            try:
                sealed = self.sealer.seal(sealing.source, ciphertext, compress=sealing.compress, progress=reading.advance)
            except KeyboardInterrupt:
                what = f"interrupted; nothing of s3://{self.to.bucket}/{sealing.key} was sent."
                raise UserError(what, exit_code=INTERRUPTED) from None
            ciphertext.seek(0)
            yield sealed, ciphertext

    def _put(self, sealing: _Sealing, sealed: Sealed, ciphertext: IO[bytes]) -> Sent:
        stated = self._stated(sealing, sealed)
        sending = _Task.of(self.progress, f"sent  {PurePosixPath(sealing.key).name}", sealed.size)
        version = self.upload.put(ciphertext, self.to.bucket, sealing.key, metadata=stated, progress=sending.advance)
        return Sent(sealing.name, sealing.key, sealed, version, self._remembered(sealing.key, sealed.content))

    def _remembered(self, key: str, content: str) -> Before | None:
        if self.memory is None:
            return None
        before = self.memory.before(self.to.bucket, key, content)
        self.memory.remember(self.to.bucket, key, content)
        return before

    def _stated(self, sealing: _Sealing, sealed: Sealed) -> dict[str, str]:
        if self.voucher is None:
            return {}
        if self.voucher.key is None:
            return self.voucher.metadata(self.to.bucket, sealing.key, sealed, sealing.part)
        # The bars stand still: ssh-keygen may ask for a passphrase.
        self.progress.stop()
        found = self.voucher.metadata(self.to.bucket, sealing.key, sealed, sealing.part)
        self.progress.start()
        return found

    def _reading(self, name: str, size: int | None) -> "_Task":
        return _Task.of(self.progress, f"read  {name}", size)


@dataclass(frozen=True, slots=True)
class _Task:
    """One bar."""

    progress: Progress
    number: TaskID

    @classmethod
    def of(cls, progress: Progress, text: str, size: int | None) -> "_Task":
        return cls(progress, progress.add_task(printable(text), total=size))

    def advance(self, size: int) -> None:
        """So many bytes more."""
        self.progress.advance(self.number, size)

    def end(self) -> None:
        """That was all, also where nobody knew before how much it is."""
        self.progress.update(self.number, total=self.progress.tasks[self.number].completed)
