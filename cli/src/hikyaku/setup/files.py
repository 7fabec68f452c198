"""Files and folders made as root below folders that belong to others: no link is followed, nothing is overwritten, each write is whole.

Every folder on the way is opened by itself with O_NOFOLLOW, and what is in it is reached through that descriptor: renaming a folder
or putting a link in its place while this runs leads nowhere.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hikyaku.errors import UserError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO would wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Place:
    """A path in two halves.

    Attributes:
        root: a folder that whoever started us named; links on the way to it are the caller's own.
        parts: names from there on, none of which may be a link.
    """

    root: Path
    parts: tuple[str, ...]

    def __truediv__(self, name: str) -> "Place":
        return Place(self.root, (*self.parts, *name.split("/")))

    def __str__(self) -> str:
        return str(self.root.joinpath(*self.parts))


@dataclass(frozen=True, slots=True)
class Rights:
    """Who owns a file or folder, and its mode.

    Attributes:
        uid: owner.
        gid: group that it is given together with the owner; another one is left as it is.
        mode: of a new one.
        needed: bits that it must have.
        allowed: bits that it may have.
        anyones: whether an existing one may belong to anyone.
    """

    uid: int
    gid: int
    mode: int
    needed: int
    allowed: int
    anyones: bool = False

    def problem(self, found: os.stat_result) -> str:
        """What is wrong with an existing one, empty when nothing is."""
        mode = stat.S_IMODE(found.st_mode)
        owner = [] if self.anyones or found.st_uid == self.uid else [f"owner {found.st_uid}, not {self.uid}"]
        return ", ".join(owner + ([] if mode == self._mended(mode) else [f"mode {mode:04o}, not {self._mended(mode):04o}"]))

    def apply(self, descriptor: int) -> None:
        """Mend an open file or folder. The owner comes first: a change of it takes bits of the mode away."""
        found = os.fstat(descriptor)
        if not self.anyones and found.st_uid != self.uid:
            os.fchown(descriptor, self.uid, self.gid)
        os.fchmod(descriptor, self._mended(stat.S_IMODE(found.st_mode)))

    def _mended(self, mode: int) -> int:
        return (mode | self.needed) & self.allowed


def status(place: Place) -> os.stat_result | None:
    """What is there, a link itself and not what it points to; None when nothing is."""
    with _told(place), _holder(place) as (folder, name):
        return None if folder is None else _status(folder, name)


def folder_status(place: Place) -> os.stat_result | None:
    """The same of a folder.

    Raises:
        UserError: it is a link or a file.
    """
    found = status(place)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise _in_the_way(place)
    return found


def names(place: Place) -> list[str]:
    """Names in a folder but hidden ones; empty when there is no such folder."""
    if status(place) is None:
        return []
    with _told(place), _holder(place / ".") as (folder, _):
        return sorted(name for name in os.listdir(_there(folder, place)) if not name.startswith("."))


def read(place: Place) -> bytes | None:
    """Content of a file, None when there is none."""
    if status(place) is None:
        return None
    with _told(place), _opened(place) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read()


def make_folder(place: Place, rights: Rights) -> None:
    """Make a folder, with its rights."""
    with _told(place), _holder(place) as (holder, name):
        folder = _there(holder, place)
        # Another run may have made it a moment ago: the folder that is locked is made before the lock.
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=folder)
        with _opened(place) as made:
            os.fchown(made, rights.uid, rights.gid)
            os.fchmod(made, rights.mode)
        os.fsync(folder)


def create(place: Place, content: bytes, rights: Rights) -> None:
    """Make a file, whole and with its rights from the first moment that it can be seen.

    Raises:
        UserError: there is one by now, or it can't be made.
    """
    _write(place, content, rights, is_right=lambda there: there is None)


def replace(place: Place, content: bytes) -> None:
    """Give an existing file another content; owner and mode stay."""
    found = status(place)
    if found is None:
        raise UserError(f"{place} is gone.", hint="Run this again.")
    mode = stat.S_IMODE(found.st_mode)
    kept = Rights(found.st_uid, found.st_gid, mode, mode, mode)
    _write(place, content, kept, is_right=lambda there: there is not None and os.path.samestat(there, found))


def mend(place: Place, rights: Rights) -> None:
    """Give an existing file or folder the right owner and mode; its content is not touched.

    Raises:
        UserError: it is a link, or has other names (hard links), so that someone else's file could be given away.
    """
    with _told(place), _opened(place) as descriptor:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
            raise UserError(
                f"{place} has another name elsewhere (a hard link).", hint="Copy it, put the copy in its place, and run this again."
            )
        rights.apply(descriptor)


@contextmanager
def locked(place: Place, wait: Callable[[], object]) -> Iterator[None]:
    """Hold a folder for this process alone among those that do the same; a process that ends, however it does, lets go.

    The folder itself is locked, so that no lock file lies among the secrets.

    Args:
        place: the folder.
        wait: called before waiting for another process.
    """
    with ExitStack() as stack:
        with _told(place):
            folder, _ = stack.enter_context(_holder(place / "."))
            descriptor = _there(folder, place)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _write(place: Place, content: bytes, rights: Rights, *, is_right: Callable[[os.stat_result | None], bool]) -> None:
    with _told(place), _holder(place) as (holder, name):
        folder = _there(holder, place)
        # One name, and not a new one each time: what a killed run left is found, and replaced.
        temporary = f".{name}.new"
        if _status(folder, temporary) is not None:
            os.unlink(temporary, dir_fd=folder)
        with os.fdopen(os.open(temporary, _NEW, 0o600, dir_fd=folder), "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(file.fileno(), rights.uid, rights.gid)
            os.fchmod(file.fileno(), rights.mode)
            os.fsync(file.fileno())
        if not is_right(_status(folder, name)):
            os.unlink(temporary, dir_fd=folder)
            raise UserError(f"{place} was changed by someone else while this ran.", hint="Run this again.")
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        # A later file must not survive a power cut that this one does not.
        os.fsync(folder)


def _status(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _there(folder: int | None, place: Place) -> int:
    if folder is None:
        raise UserError(f"{place}: the folder that it belongs in does not exist.", hint="Make it first.", exit_code=2)
    return folder


@contextmanager
def _holder(place: Place) -> Iterator[tuple[int | None, str]]:
    """The folder that holds it, opened, and its name there; None for the folder when there is none."""
    with ExitStack() as stack:
        folder: int | None = None
        for name in (str(place.root), *place.parts[:-1]):
            try:
                # Only the root may be reached through links.
                flags = _FOLDER if folder is not None else _FOLDER & ~os.O_NOFOLLOW
                folder = os.open(name, flags, dir_fd=folder)
            except FileNotFoundError:
                folder = None
                break
            stack.callback(os.close, folder)
        yield folder, place.parts[-1]


@contextmanager
def _opened(place: Place) -> Iterator[int]:
    with _holder(place) as (folder, name):
        descriptor = os.open(name, _FILE, dir_fd=_there(folder, place))
        try:
            if not stat.S_ISREG(mode := os.fstat(descriptor).st_mode) and not stat.S_ISDIR(mode):
                raise UserError(f"{place} is neither a file nor a folder.", hint="Take it away, and run this again.")
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """What the system refuses, in a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EISDIR}:
            raise _in_the_way(place) from error
        raise UserError(f"{place}: {error.strerror}.") from error


def _in_the_way(place: Place) -> UserError:
    message = f"{place}: a link, or something else that does not belong there, stands in the way."
    return UserError(message, hint="Setup follows no link: put the file or folder itself there.")
