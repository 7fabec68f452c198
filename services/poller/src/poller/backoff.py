"""How long to wait before trying again."""

ENOUGH_DOUBLINGS = 10
"""Beyond it every bound is reached, and a float would overflow in the end."""


def exponential(tries: int, longest: float) -> float:
    """Seconds after `tries` failures: 1, 2, 4, …, never more than `longest`."""
    return min(2.0 ** min(tries, ENOUGH_DOUBLINGS), longest)
