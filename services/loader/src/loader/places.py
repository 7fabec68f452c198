"""A place: where a record begins, as one number: its line and, in a group, the part that has it. Places are in the order of the records."""

LINE_BITS = 40
_LINE = (1 << LINE_BITS) - 1


def first(part: int) -> int:
    """What is added to the lines of a part; nothing for a file that is no part (0)."""
    return part << LINE_BITS


def line(place: int) -> int:
    """The line of the file."""
    return place & _LINE


def part(place: int) -> int:
    """The part that has it; 0 where the file is no part."""
    return place >> LINE_BITS


def named(place: int) -> str:
    """For a person: `line 5`, or `part 2, line 5`."""
    return f"{within(place)}line {line(place)}"


def within(place: int) -> str:
    """For a person: `part 2, `, or nothing."""
    return f"part {part(place)}, " if part(place) else ""
