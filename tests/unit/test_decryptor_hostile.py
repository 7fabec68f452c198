"""Whatever a manifest and a signature are: each damage has its code, and only a refusal comes out."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from decryptor.download import Download
from decryptor.sender import Senders, Word
from fakes.gate import BUCKET, EVENT_TIME, FILE, KEY, Gate, taken
from fakes.senders import ACME, metadata, public, signature, stated
from shared.contract import FileRef
from shared.errors import ErrorCode, Rejected


def test_every_altered_byte_of_a_manifest_is_noticed_before_anything_is_decrypted(gate: Gate) -> None:
    manifest = stated(FILE)
    blob = signature(manifest, gate.keys["acme"])
    for offset in range(len(manifest)):
        altered = bytearray(manifest)
        altered[offset] ^= 1
        assert gate.code(metadata(bytes(altered), blob)) == ErrorCode.SIGNATURE_INVALID, offset
        assert gate.version.wires[0].given == 0


def test_every_altered_byte_of_a_signature_is_noticed(gate: Gate) -> None:
    manifest = stated(FILE)
    blob = signature(manifest, gate.keys["acme"])
    codes = set()
    for offset in range(len(blob)):
        altered = bytearray(blob)
        altered[offset] ^= 1
        codes.add(gate.code(metadata(manifest, bytes(altered))))
    assert codes == {ErrorCode.SIGNATURE_INVALID, ErrorCode.SIGNER_UNKNOWN}, "in the key that it names, it names another one"


@pytest.mark.parametrize("key", ["acme", "rsa"])
def test_every_truncation_of_a_signature_has_a_code(gate: Gate, key: str) -> None:
    gate.know(*(f"{ACME} {public(gate.keys[name])}" for name in ("acme", "rsa")))
    manifest = stated(FILE)
    blob = signature(manifest, gate.keys[key])
    assert taken(gate.take(metadata(manifest, blob)))[0] == ACME
    for path in gate.spool.iterdir():
        path.unlink()
    for end in range(len(blob)):
        assert gate.code(metadata(manifest, blob[:end])) == ErrorCode.SIGNATURE_INVALID, end
    assert gate.code(metadata(manifest, blob + b"\0")) == ErrorCode.SIGNATURE_INVALID


def test_every_truncation_of_a_manifest_has_a_code(gate: Gate) -> None:
    gate.configure('[defaults]\nsignature = "if_present"\n')
    manifest = stated(FILE)
    codes = {gate.code(metadata(manifest[:end])) for end in range(len(manifest))}
    assert codes == {ErrorCode.MANIFEST_INVALID}


def text(data: bytes) -> bytes:
    """A string as SSH writes it."""
    return len(data).to_bytes(4, "big") + data


def parts(blob: bytes) -> list[bytes]:
    found = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        found.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    return found


def forged(blob: bytes, place: int, new: bytes) -> bytes:
    """A blob with another string in one place: key, namespace, reserved, hash, signature."""
    strings = parts(blob[10:])
    strings[place] = new
    return blob[:10] + b"".join(map(text, strings))


WEAK: dict[str, Callable[[bytes], bytes]] = {
    "version 2": lambda blob: blob[:9] + b"\2" + blob[10:],
    "hash md5": lambda blob: forged(blob, 3, b"md5"),
    "hash sha1": lambda blob: forged(blob, 3, b"sha1"),
    "hash that needs a length": lambda blob: forged(blob, 3, b"shake_128"),
    "hash that is no text": lambda blob: forged(blob, 3, b"\xff"),
    "signature of another kind": lambda blob: forged(blob, 4, text(b"rsa-sha2-512") + text(bytes(64))),
    "rsa signature with sha1": lambda blob: forged(blob, 4, text(b"ssh-rsa") + text(bytes(256))),
    "signature with something behind": lambda blob: forged(blob, 4, parts(blob[10:])[4] + b"\0"),
    "short signature": lambda blob: forged(blob, 4, text(b"ssh-ed25519") + text(bytes(63))),
    "key with something behind": lambda blob: forged(blob, 0, parts(blob[10:])[0] + b"\0"),
    "ecdsa key": lambda blob: forged(blob, 0, text(b"ecdsa-sha2-nistp256") + text(b"nistp256") + text(bytes(65))),
    "key of no kind": lambda blob: forged(blob, 0, text(b"\0\xff" * 200)),
    "short key": lambda blob: forged(blob, 0, text(b"ssh-ed25519") + text(bytes(31))),
    "rsa key of even exponent": lambda blob: forged(blob, 0, text(b"ssh-rsa") + text(b"\2") + text(b"\x7f" * 256)),
    "short rsa key": lambda blob: forged(blob, 0, text(b"ssh-rsa") + text(b"\1\0\1") + text(b"\x7f" * 128)),
    "namespace with a NUL": lambda blob: forged(blob, 1, b"hikyaku\0"),
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("forge", WEAK.values(), ids=WEAK)
def test_what_the_library_would_stumble_over_is_refused(gate: Gate, forge: Callable[[bytes], bytes]) -> None:
    manifest = stated(FILE)
    assert gate.code(metadata(manifest, forge(signature(manifest, gate.keys["acme"])))) == ErrorCode.SIGNATURE_INVALID


WRONG: dict[str, dict[str, Any]] = {
    "no sender": {"sender": None},
    "empty sender": {"sender": ""},
    "sender with a NUL": {"sender": "a\0b"},
    "sender on two lines": {"sender": "a\nb"},
    "group with a NUL": {"group": "\0", "part": 1, "parts": 1},
    "text for a number": {"size": "1"},
    "negative number": {"seq": -1},
    "too large a number": {"seq": 2**63},
    "time without an offset": {"created_at": "2026-11-12T00:00:00"},
    "offset that PostgreSQL does not read": {"created_at": "2026-11-12T00:00:00+16:00"},
    "offset of nearly a day, to the west": {"created_at": "2026-11-12T00:00:00-23:59"},
    "no hash": {"sha256": "AB" * 32},
    "newer version": {"v": 2},
    "half a group": {"group": "g"},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_a_signed_manifest_must_be_one(gate: Gate, changes: dict[str, Any]) -> None:
    assert gate.code(gate.signed(**changes)) == ErrorCode.MANIFEST_INVALID


BAD_TEXT: dict[str, str] = {
    "spaces": "e30 =",
    "letters of another base64": "_-_-",
    "no padding": "e30",
    "not ASCII": "日本",
    "as S3 writes what is not ASCII": "=?UTF-8?B?5pel5pys?=",
    "empty": "",
    "too long": "A" * 4100,
    "no JSON": base64.b64encode(b"\xff\xfe").decode(),
    "deep JSON": base64.b64encode(b"[" * 3000).decode(),
    "large number": base64.b64encode(json.dumps({"v": 1, "size": 10**2000}).encode()).decode(),
}


@pytest.mark.parametrize("value", BAD_TEXT.values(), ids=BAD_TEXT)
def test_metadata_may_be_anything(gate: Gate, value: str) -> None:
    gate.configure('[defaults]\nsignature = "if_present"\n')
    assert gate.code({"hikyaku-manifest": value}) == ErrorCode.MANIFEST_INVALID
    code = gate.code({**gate.signed(), "hikyaku-signature": value})
    assert code in {ErrorCode.MANIFEST_INVALID, ErrorCode.SIGNATURE_INVALID}


# Anything at all

TEXT = st.text(max_size=300) | st.binary(max_size=300).map(lambda data: base64.b64encode(data).decode())
NAMES = st.sampled_from(["hikyaku-manifest", "hikyaku-signature", "Hikyaku-Manifest", "x"])


@pytest.fixture(scope="module")
def genuine(keys: dict[str, Path]) -> tuple[bytes, bytes]:
    return stated(FILE), signature(stated(FILE), keys["acme"])


def judged(senders: Senders, said: dict[str, str]) -> Word | None:
    file = FileRef(bucket=BUCKET, key=KEY, version_id="v", size=1, event_time=EVENT_TIME, received_at=EVENT_TIME, message_id="m")
    try:
        return senders.word(Download(file=file, size=len(FILE), etag="", sha256=None, body=None, metadata=said))  # type: ignore[arg-type]
    except Rejected:
        return None


FUZZ = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(said=st.dictionaries(NAMES, TEXT))
@example(said={"hikyaku-manifest": "\ud800", "hikyaku-signature": "\ud800"})
def test_whatever_the_metadata_is_it_is_refused_or_read(gate: Gate, said: dict[str, str]) -> None:
    gate.configure('[defaults]\nsignature = "if_present"\n')
    word = judged(gate.senders(), said)
    assert word is None or word.signer is None


@FUZZ
@given(data=st.data())
def test_a_damaged_signature_is_refused_or_still_means_the_same(gate: Gate, genuine: tuple[bytes, bytes], data: st.DataObject) -> None:
    damaged = []
    for whole in genuine:
        start = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(start, min(len(whole), start + 8)))
        damaged.append(whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:])
    word = judged(gate.senders(), metadata(damaged[0], damaged[1]))
    assert word is None or damaged[0] == genuine[0]
