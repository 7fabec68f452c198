"""The SQL that does not depend on the target table, from `sql/*.sql`."""

from importlib import resources


def _read(name: str) -> bytes:
    return resources.files("loader").joinpath("sql", name).read_bytes()


_SUPERSEDED = _read("superseded.sql")


def _complete(name: str) -> bytes:
    """A statement with the one expression that two of them share."""
    return _read(name).replace(b"/* superseded.sql */", b"\n" + _SUPERSEDED)


RELATION = _read("relation.sql")
CLAIM = _complete("claim.sql")
STATUS = _read("status.sql")
STANDING = _complete("standing.sql")
FINISH = _read("finish.sql")
RECEIPT = _read("receipt.sql")
RETURNED = _read("returned.sql")
GROUP_TAKE = _read("group_take.sql")
GROUP_PARTS = _read("group_parts.sql")
GROUP_JOIN = _read("group_join.sql")
GROUP_ADD = _read("group_add.sql")
GROUP_END = _read("group_end.sql")
GROUP_FINISH = _read("group_finish.sql")
GROUP_GIVE_UP = _read("group_give_up.sql")
GROUP_FORGET = _read("group_forget.sql")
GROUP_DUE = _read("group_due.sql")
GROUP_EXPIRE = _read("group_expire.sql")
GROUP_SIBLINGS = _read("group_siblings.sql")
