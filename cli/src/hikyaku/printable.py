"""Text of others, made fit for logs, the ledger's errors and terminals: whatever could steer one or mislead its reader is escaped.

Keys, names and messages may hold line ends that forge a line, ANSI escapes that steer a terminal, and marks that turn the direction of
what follows (Unicode Standard Annex 9). Letters of any script and the wide space of Japanese stay as they are. The command has a copy of
this module, for it depends on nothing of the services.
"""

import unicodedata

SPACE = "Zs"
"""Unicode's category of spaces that are no line ends; Python holds all of them but one for not printable."""


def printable(text: str) -> str:
    r"""The text with everything else as `\n`, `\x1b`, `\u202e`. Text that is printable comes back as it is, so twice is as good as once."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or unicodedata.category(c) == SPACE else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
