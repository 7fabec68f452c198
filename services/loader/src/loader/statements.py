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
