"""Strings as SSH writes them: a length of four bytes, and so many bytes (RFC 4251, section 5)."""

LENGTH = 4
"""Bytes of a length, and of a number."""


def string(data: bytes) -> tuple[bytes, bytes]:
    """The first string, and what follows it.

    Raises:
        ValueError: it ends too early.
    """
    end = LENGTH + int.from_bytes(data[:LENGTH], "big")
    if len(data) < end:
        raise ValueError("it ends too early")
    return data[LENGTH:end], data[end:]


def strings(data: bytes, count: int) -> list[bytes]:
    """Exactly so many strings, and nothing after them.

    Raises:
        ValueError: there are fewer, or more.
    """
    found = []
    for _ in range(count):
        first, data = string(data)
        found.append(first)
    if data:
        raise ValueError("something follows its end")
    return found
