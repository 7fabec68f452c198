"""`match` of datasets.toml: a glob on the whole object key, in which `{name}` captures a piece of it.

The sender chooses the key, so no key may take long: each part of a glob is tried at every place of the key once, and what it found
there is not taken back (atomic groups, as in fnmatch).
"""

import re
from collections.abc import Iterator
from fnmatch import translate
from functools import cache
from itertools import pairwise

_TOKEN = re.compile(r"(?P<set>\[!?\]?[^\]]*\])|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<sign>.)", re.DOTALL)
STAR, CAPTURE = "*", "{}"


def captures(match: str) -> list[str]:
    """Names of the captures, in their order."""
    return [found["name"] for found in _TOKEN.finditer(match) if found["name"]]


def captured(match: str, key: str) -> dict[str, str] | None:
    """What the captures hold: each at least one character and no `/`, up to where what follows it in the glob first occurs.

    Args:
        match: without mistakes.
        key: of an object; of a dry run, without its `test/`.

    Returns:
        Texts by name, maybe none; None where the key does not match.
    """
    found = _compiled(match).fullmatch(key)
    return None if found is None else found.groupdict()


@cache
def _compiled(match: str) -> re.Pattern[str]:
    first, *others = _between_stars(match)
    expression = first if not others else "".join([first, *(f"(?>.*?{other})" for other in others[:-1]), ".*", others[-1]])
    return re.compile(expression, re.DOTALL)


def _between_stars(match: str) -> Iterator[str]:
    """Expressions of what stands before, between and after the stars."""
    segment, end = "", ""
    for found in _TOKEN.finditer(match):
        if found[0] == STAR:
            yield segment + end
            segment, end = "", ""
        elif name := found["name"]:
            segment, end = f"{segment}{end}(?>(?P<{name}>[^/]+?)", ")"
        else:
            segment += _one_character(found)
    yield f"{segment}\\Z{end}"


def _one_character(found: re.Match[str]) -> str:
    if found["set"]:
        # `(?s:` … `)\Z` around it.
        return translate(found[0])[4:-3]
    return "." if found[0] == "?" else re.escape(found[0])


def mistakes(match: str) -> Iterator[str]:
    """What is wrong with the captures of a glob, in sentences."""
    names = captures(match)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        yield f"match captures {', '.join(repeated)} twice"
    signs = [CAPTURE if found["name"] else found[0] for found in _TOKEN.finditer(match)]
    if "{" in signs or "}" in signs:
        yield "match has a brace that belongs to no {name} of letters, digits and _; the sign itself is written [{] or [}]"
    if any(CAPTURE in pair and set(pair) <= {STAR, CAPTURE} for pair in pairwise(signs)):
        yield "match has a capture next to * or to another capture: nobody can tell where it ends; put a fixed character between them"
