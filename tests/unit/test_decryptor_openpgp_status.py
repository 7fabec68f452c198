"""What gpg's status lines mean, without gpg."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decryptor.openpgp_status import Signature, Status
from decryptor.openpgp_verdict import SIGNED, judge
from shared.errors import Rejected

HOST, ACME, SUBKEY = "A" * 40, "B" * 40, "C" * 40
OURS = "D" * 16
VALIDSIG = f"VALIDSIG {SUBKEY} 2026-11-10 1794268800 0 4 0 22 10 00 {ACME}"
GOOD = f"""ENC_TO {OURS} 18 0
DECRYPTION_KEY {SUBKEY} {HOST} -
BEGIN_DECRYPTION
DECRYPTION_INFO 2 9 0
PLAINTEXT 62 1794268800 a.csv.gz
PLAINTEXT_LENGTH 20
NEWSIG
GOODSIG {ACME[:16]} acme <acme@example.com>
{VALIDSIG}
DECRYPTION_OKAY
GOODMDC
END_DECRYPTION"""
UNSIGNED = "\n".join(line for line in GOOD.splitlines() if not line.startswith(SIGNED))


def read(text: str) -> Status:
    return Status.read("".join(f"[GNUPG:] {line}\n" for line in text.splitlines()).encode())


def verdict(text: str, code: int = 0) -> str | None:
    """The error code, or who signed it, or nothing."""
    try:
        signature = judge(read(text), code, {ACME}, {OURS}).signature
    except Rejected as error:
        return error.error_code
    return signature.primary if signature else None


def without(keyword: str, text: str = GOOD) -> str:
    return "\n".join(line for line in text.splitlines() if line.split(" ")[0] != keyword)


def test_a_good_message_is_taken() -> None:
    opened = judge(read(GOOD), 0, {ACME}, {OURS})
    assert opened.identity == HOST
    assert opened.signature == Signature(primary=ACME, made_at=1794268800, key_algorithm=22, hash_algorithm=10, kind="00")
    assert judge(read(UNSIGNED), 0, {ACME}, {OURS}).signature is None


def test_the_exit_status_must_be_0_too() -> None:
    for code in (1, 2, 255):
        assert verdict(GOOD, code) == "openpgp_invalid"


@pytest.mark.parametrize(
    ("keyword", "code"),
    [
        ("BEGIN_DECRYPTION", "openpgp_invalid"),
        ("END_DECRYPTION", "openpgp_invalid"),
        ("DECRYPTION_INFO", "openpgp_invalid"),
        ("PLAINTEXT", "openpgp_invalid"),
        ("DECRYPTION_OKAY", "ciphertext_corrupt"),
        ("DECRYPTION_KEY", "ciphertext_corrupt"),
        ("NEWSIG", "signature_invalid"),
        ("GOODSIG", "signature_invalid"),
        ("VALIDSIG", "signature_invalid"),
    ],
)
def test_each_of_these_must_be_there_once(keyword: str, code: str) -> None:
    assert verdict(without(keyword)) == code
    [line] = [line for line in GOOD.splitlines() if line.startswith(f"{keyword} ") or line == keyword]
    if keyword != "DECRYPTION_KEY":
        assert verdict(GOOD.replace(line, f"{line}\n{line}", 1)) is not None
        assert verdict(GOOD.replace(line, f"{line}\n{line}", 1)) != ACME


BAD = {
    "BADSIG 0 x": "signature_invalid",
    "ERRSIG 0 22 10 00 1 9 F": "signer_unknown",
    "ERRSIG 0 22 10 00 1 4 F": "signature_invalid",
    "ERRSIG": "signature_invalid",
    "EXPSIG 0 x": "signer_expired",
    "EXPKEYSIG 0 x": "signer_expired",
    "REVKEYSIG 0 x": "signer_expired",
    "BADMDC": "ciphertext_corrupt",
    "DECRYPTION_FAILED": "ciphertext_corrupt",
    "NODATA 3": "openpgp_invalid",
    "ERROR proc_pkt.plaintext 89_BAD_DATA": "openpgp_invalid",
    "ERROR anything 1": "openpgp_invalid",
    "FAILURE gpg-exit 1": "openpgp_invalid",
    "UNEXPECTED 0": "openpgp_invalid",
    "NEED_PASSPHRASE_SYM 9 3 2": "openpgp_invalid",
}


@pytest.mark.parametrize("line", BAD)
@pytest.mark.parametrize("place", range(13))
def test_none_of_these_may_be_there(line: str, place: int) -> None:
    lines = GOOD.splitlines()
    assert verdict("\n".join([*lines[:place], line, *lines[place:]])) == BAD[line]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("INFO 2 9 0", "INFO 0 9 0", "openpgp_invalid"),
        ("INFO 2 9 0", "INFO", "openpgp_invalid"),
        ("INFO 2 9 0", "INFO 0 9 2", ACME),
        (" 22 10 00 ", " 22 2 00 ", "signature_invalid"),
        (" 22 10 00 ", " 17 10 00 ", "signature_invalid"),
        (" 22 10 00 ", " 22 10 01 ", "signature_invalid"),
        (f"00 {ACME}", f"00 {HOST}", "signer_unknown"),
        (f"00 {ACME}", f"00 {SUBKEY}", "signer_unknown"),
    ],
)
def test_what_lines_say_counts(old: str, new: str, code: str) -> None:
    assert old in GOOD
    assert verdict(GOOD.replace(old, new)) == code


def test_a_signature_outside_of_the_encryption_is_none() -> None:
    outside = without("VALIDSIG") + f"\n{VALIDSIG}"
    assert verdict(outside) == "signature_invalid"


def test_a_key_that_the_file_names_and_that_does_not_open_it_is_damage() -> None:
    closed = f"ENC_TO {OURS} 18 0\nBEGIN_DECRYPTION\nDECRYPTION_FAILED\nEND_DECRYPTION"
    assert verdict(closed, 2) == "ciphertext_corrupt"
    assert verdict(closed.replace(OURS, "0" * 16), 2) == "no_matching_identity"


def test_only_whole_lines_of_gpgs_own_count() -> None:
    assert Status.read(b"gpg: [GNUPG:] VALIDSIG x\n[GNUPG:]VALIDSIG\n VALIDSIG\n[GNUPG:] VALIDSIG").lines == ()
    assert Status.read(b"[GNUPG:] GOODMDC\n[GNUPG:] NODATA 1\n").lines == (("GOODMDC", ()), ("NODATA", ("1",)))


@given(st.binary(max_size=400))
def test_any_bytes_are_read(data: bytes) -> None:
    for keyword, fields in Status.read(data).lines:
        assert "\n" not in keyword + "".join(fields)


WORDS = st.sampled_from([*GOOD.splitlines(), *BAD, "PLAINTEXT 62 0 x", f"DECRYPTION_KEY {SUBKEY} {ACME} -", "ENC_TO"])


@given(st.lists(WORDS, max_size=16), st.integers(0, 2))
def test_whatever_is_taken_has_all_that_it_needs(lines: list[str], code: int) -> None:
    text = "\n".join(lines)
    try:
        opened = judge(read(text), code, {ACME}, {OURS})
    except Rejected:
        return
    words = [line.split(" ")[0] for line in lines]
    assert code == 0
    assert words.count("DECRYPTION_OKAY") == words.count("PLAINTEXT") == words.count("BEGIN_DECRYPTION") == 1
    assert not {line.split(" ")[0] for line in BAD} & set(words)
    assert (opened.signature is None) == (not {*SIGNED} & set(words))
    assert words.count("VALIDSIG") == (0 if opened.signature is None else 1)


def test_a_line_that_is_no_validsig_is_a_bug_that_surfaces() -> None:
    with pytest.raises(ValueError, match="VALIDSIG has 1 fields"):
        Signature.read(("x",))
