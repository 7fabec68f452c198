"""The two changes of a keyring: a new file beside the others, and one that is moved out of it."""

import os
from datetime import datetime
from pathlib import Path

from hikyaku.errors import UserError
from hikyaku.operator.keys.keyring import Key
from hikyaku.operator.places import IDENTITIES, Places
from hikyaku.setup import files, identity
from hikyaku.setup.files import Place, Rights
from hikyaku.setup.layout import file_rights

HINT_ROOT = "The file is the decryptor's: run this as root."


def free_name(keys: list[Key], now: datetime) -> str:
    """The day, and a number where there is one of that day already."""
    taken, day = {key.name for key in keys}, f"{now:%Y-%m-%d}"
    names = (day if number == 1 else f"{day}-{number}" for number in range(1, len(keys) + 2))
    return next(name for name in names if name not in taken)


def make(places: Places, folder: Path, name: str) -> tuple[Path, str]:
    """Write a new identity, whole and for its owner alone from the first moment.

    Args:
        places: of this machine.
        folder: the keyring.
        name: of the identity.

    Returns:
        The file, and the recipient for the senders.

    Raises:
        UserError: there is one, or it can't be made.
    """
    if name != Path(name).name or name.startswith(".") or not name.isprintable() or Path(name).suffix:
        raise UserError(f"{name!r} is no name for an identity: a file's name without a suffix", exit_code=2)
    rights = _rights(places, folder)
    if rights.uid != os.geteuid() != 0:
        raise UserError(f"{folder} belongs to user {rights.uid}", hint=HINT_ROOT)
    text = identity.new()
    place = Place(folder.parent.resolve(), (folder.name, f"{name}.txt"))
    files.create(place, text.encode("ascii"), rights)
    return Path(str(place)), identity.recipients(text)[0]


def _rights(places: Places, folder: Path) -> Rights:
    """As setup gives them; without its folders, the folder's owner."""
    if places.host is not None and folder == Path(str(places.host.secrets)) / IDENTITIES:
        return file_rights(IDENTITIES)
    found = folder.stat()
    return Rights(found.st_uid, found.st_gid, mode=0o600, needed=0o400, allowed=0o600)


def retire(key: Key, retired: Path) -> Path:
    """Move a file out of the keyring; it is not deleted, and can be moved back.

    Returns:
        Where it is now.

    Raises:
        UserError: it can't be moved, or another of its name is there.
    """
    target = retired / key.path.name
    try:
        retired.mkdir(mode=0o700, exist_ok=True)
        # A run that was killed between the two lines below is finished by the next.
        if not (target.exists() and target.samefile(key.path)):
            # link() refuses to replace what is there, which rename() would.
            os.link(key.path, target)
        key.path.unlink()
    except FileExistsError:
        raise UserError(f"{target} is there already", hint="Move that one away: it may open files of another time.") from None
    except OSError as error:
        raise UserError(f"{key.path} can't be moved to {retired}: {error.strerror}", hint=HINT_ROOT) from None
    return target
