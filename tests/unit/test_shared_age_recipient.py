"""A public key of age that people write into a settings file: what age takes is taken, and what is mistyped is told."""

import re

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.age_recipient import ALPHABET, EXPRESSION, FIELD, NO_SECRET, PREFIX, _polymod, is_sound


def taken_by_age(text: str) -> bool:
    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        return False
    return True


def test_keys_that_age_makes_are_sound() -> None:
    for _ in range(50):
        key = str(pyrage.x25519.Identity.generate().to_public())
        assert re.fullmatch(EXPRESSION, key)
        assert is_sound(key)


@given(st.lists(st.tuples(st.integers(0, 57), st.sampled_from(ALPHABET)), max_size=6))
def test_what_is_mistyped_is_judged_as_age_judges_it(changes: list[tuple[int, str]]) -> None:
    key = list("ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")
    for at, character in changes:
        key[at] = character
    text = "age1" + "".join(key)
    assert is_sound(text) is taken_by_age(text)


@pytest.mark.parametrize("at", [4, 30, 55, 61])
def test_one_wrong_character_is_found(at: int) -> None:
    key = str(pyrage.x25519.Identity.generate().to_public())
    other = ALPHABET[(ALPHABET.index(key[at]) + 1) % 32]
    assert not is_sound(key[:at] + other + key[at + 1 :])


def spelled(values: list[int]) -> str:
    """These 52 characters with their checksum."""
    checksum = _polymod((*PREFIX, *values, *[0] * 6)) ^ 1
    return "age1" + "".join(ALPHABET[each] for each in (*values, *(checksum >> 5 * (5 - n) & 31 for n in range(6))))


@pytest.mark.parametrize(("last", "sound"), [(0, True), (16, True), (1, False), (24, False)])
def test_more_than_256_bits_are_no_key(last: int, sound: bool) -> None:
    assert is_sound(spelled([*[7] * 51, last])) is sound


def point(u: int) -> list[int]:
    """A coordinate's 32 bytes, least significant first, in fives of bits."""
    bits = int.from_bytes(u.to_bytes(32, "little"), "big") << 4
    return [bits >> 5 * (51 - n) & 31 for n in range(52)]


@pytest.mark.parametrize("u", [*NO_SECRET, FIELD, FIELD + 1, *(each + 2**255 for each in NO_SECRET)])
def test_a_point_that_age_does_not_encrypt_to_is_no_key(u: int) -> None:
    key = spelled(point(u))
    assert not is_sound(key)
    # What Rust panics with is no Exception: a loader would not survive it.
    with pytest.raises(BaseException, match="all-zero"):
        pyrage.encrypt(b"", [pyrage.x25519.Recipient.from_str(key)])
    assert is_sound(spelled(point(9)))
