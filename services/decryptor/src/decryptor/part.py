"""What a group may be told of a part that will not come: what its sender vouches for or, unsigned, who says to be one.

A part that is rejected rejects its group. So nobody may be able to say it of another's: what was altered on its way, or put there by
somebody else, does no group any harm. The loader keeps signed groups and others apart (`hikyaku.groups.signed`).
"""

from collections.abc import Callable
from contextlib import closing

from decryptor import verify
from decryptor.download import S3, Download, Source, fetch
from decryptor.sender import Senders, Word
from shared.contract import FileRef
from shared.errors import Rejected


class PartRejected(Rejected):
    """A part of a group that is as its sender made it, and will not do: the loader is to tell the group."""

    def __init__(self, rejection: Rejected, word: Word) -> None:
        super().__init__(rejection.error_code, rejection.message)
        self.word = word


def of_its_group(rejection: Rejected, source: Source, download: Download, word: Word) -> Rejected:
    """The same rejection; with what its group is to know, if the file is a part and as its sender made it."""
    if not _is_part(word):
        return rejection
    source.drain()
    try:
        verify.received(source, download, word.manifest)
    except Rejected:
        return rejection
    return PartRejected(rejection, word)


def look(s3: S3, senders: Senders, file: FileRef, sleep: Callable[[float], None], *, read: bool) -> tuple[FileRef, Word]:
    """Whose part a file is that nobody decrypts.

    Args:
        s3: has the file.
        senders: judge who sent it.
        file: the file.
        sleep: waits for an object that is missing.
        read: whether its bytes must be those that its sender stated, and not only as many. Nothing is done with them but hashing.

    Returns:
        The reference under the object's own key, and what is said of a part; of any other file nothing.

    Raises:
        CourierError: nobody knows whose it is.
    """
    download = fetch(s3, file, sleep)
    with closing(download.body):
        verify.announced(download, file)
        word = senders.word(download)
        verify.stated(word.manifest, download)
        if not _is_part(word):
            return download.file, Word()
        if read:
            source = Source(download.body)
            source.drain()
            verify.received(source, download, word.manifest)
    return download.file, word


def _is_part(word: Word) -> bool:
    return word.declared is not None and word.declared.group is not None
