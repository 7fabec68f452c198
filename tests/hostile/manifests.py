"""Manifests and signatures that are none, say another thing, or are not their sender's to give."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fakes.senders import ACME, make_key, metadata, public, signature, stated
from hostile.case import LOADED, Case
from unit.test_decryptor_hostile import WEAK, WRONG

OTHER = "other@example.com"
LONG_AGO = 'valid-before="20200101"'
RAW: dict[str, str] = {
    "spaces": "e30 =",
    "letters of another base64": "_-_-",
    "no padding": "e30",
    "no JSON": base64.b64encode(b"\xff\xfe").decode(),
    "deep JSON": base64.b64encode(b"[" * 1100).decode(),
    "a list": base64.b64encode(b"[]").decode(),
    "null": base64.b64encode(b"null").decode(),
    "a large number": base64.b64encode(json.dumps({"v": 1, "size": 10**900}).encode()).decode(),
    "half a surrogate": base64.b64encode(b'{"v":1,"sender":"\\ud800"}').decode(),
    "a name twice": base64.b64encode(b'{"v":1,"v":2}').decode(),
}
"""As metadata, in place of a manifest."""


class Desk:
    """Where hostile senders sit.

    Args:
        folder: for their keys.
        bucket: of the line.
        dataset: that asks for signatures, of acme's only.
    """

    def __init__(self, folder: Path, bucket: str, dataset: str) -> None:
        self._bucket, self._dataset = bucket, dataset
        self._keys = {name: make_key(folder / name) for name in ("acme", "stranger", "other", "old")}
        self.signers = "".join(
            f'{name} namespaces="hikyaku"{"," + when if when else ""} {public(self._keys[key])}\n'
            for name, key, when in ((ACME, "acme", ""), (OTHER, "other", ""), (ACME, "old", LONG_AGO))
        )
        """For allowed_signers."""

    def cases(self, sealed: Callable[[], bytes]) -> list[Case]:
        """Each over a good file of its own."""
        found: dict[str, tuple[str, Callable[[str, bytes], Mapping[str, str]]]] = {
            "nothing wrong": (LOADED, self.signed),
            "none at all": ("signature_missing", lambda _key, _data: {}),
            "no signature": ("signature_missing", self.unsigned),
            "no manifest": ("manifest_invalid", lambda key, data: {"hikyaku-signature": self.signed(key, data)["hikyaku-signature"]}),
            "signature of a stranger": ("signer_unknown", lambda key, data: self.signed(key, data, "stranger")),
            "signer for another name": ("signer_unknown", lambda key, data: self.signed(key, data, "other")),
            "key that has run out": ("signer_expired", lambda key, data: self.signed(key, data, "old")),
            "signer of other datasets": ("signer_not_allowed", lambda key, data: self.signed(key, data, "other", sender=OTHER)),
            "another namespace": ("signature_invalid", self._elsewhere),
            "another file's manifest": ("manifest_mismatch", lambda _key, data: self.signed("incoming/x/a.csv.gz.age", data)),
            "another bucket's manifest": ("manifest_mismatch", lambda key, data: self.signed(key, data, bucket="theirs")),
            "another size": ("manifest_mismatch", lambda key, data: self.signed(key, data, size=1)),
            "another content": ("manifest_mismatch", lambda key, data: self.signed(key, data, sha256="0" * 64)),
            "other rows": ("rows_mismatch", lambda key, data: self.signed(key, data, rows=7)),
            "manifest altered": ("signature_invalid", lambda key, data: self._swapped(key, data, seq=8)),
            **{f"manifest: {name}": ("manifest_invalid", self._wrong(changes)) for name, changes in WRONG.items()},
            **{f"signature: {name}": ("signature_invalid", self._weak(forge)) for name, forge in WEAK.items()},
            **{
                f"not signed: {name}": ("signature_missing", lambda _k, _d, raw=raw: {"hikyaku-manifest": raw}) for name, raw in RAW.items()
            },
            **{f"signed: {name}": ("manifest_invalid", self._as_bytes(raw)) for name, raw in RAW.items() if _bytes(raw) is not None},
            **{f"no base64: {name}": ("manifest_invalid", self._as_text(raw)) for name, raw in RAW.items() if _bytes(raw) is None},
        }
        return [self._case(number, name, expected, say, sealed()) for number, (name, (expected, say)) in enumerate(found.items())]

    def _case(self, number: int, name: str, expected: str, say: Callable[[str, bytes], Mapping[str, str]], data: bytes) -> Case:
        key = f"incoming/{self._dataset}/manifest-{number}.csv.gz.age"
        return Case(name=name, expected=expected, key=key, content=data, metadata=say(key, data))

    def _stated(self, key: str, data: bytes, **changes: Any) -> bytes:
        return stated(data, **{"bucket": self._bucket, "key": key, **changes})

    def signed(self, key: str, data: bytes, by: str = "acme", **changes: Any) -> dict[str, str]:
        """Metadata of a signed file."""
        manifest = self._stated(key, data, **changes)
        return metadata(manifest, signature(manifest, self._keys[by]))

    def unsigned(self, key: str, data: bytes, **changes: Any) -> dict[str, str]:
        """Metadata of a file for which nobody vouches."""
        return metadata(self._stated(key, data, **changes))

    def _elsewhere(self, key: str, data: bytes) -> dict[str, str]:
        manifest = self._stated(key, data)
        return metadata(manifest, signature(manifest, self._keys["acme"], "file"))

    def _swapped(self, key: str, data: bytes, **changes: Any) -> dict[str, str]:
        return metadata(self._stated(key, data, **changes), signature(self._stated(key, data), self._keys["acme"]))

    def _wrong(self, changes: dict[str, Any]) -> Callable[[str, bytes], dict[str, str]]:
        return lambda key, data: self.signed(key, data, **changes)

    def _weak(self, forge: Callable[[bytes], bytes]) -> Callable[[str, bytes], dict[str, str]]:
        def say(key: str, data: bytes) -> dict[str, str]:
            manifest = self._stated(key, data)
            return metadata(manifest, forge(signature(manifest, self._keys["acme"])))

        return say

    def _as_bytes(self, raw: str) -> Callable[[str, bytes], dict[str, str]]:
        manifest = base64.b64decode(raw)
        return lambda _key, _data: metadata(manifest, signature(manifest, self._keys["acme"]))

    def _as_text(self, raw: str) -> Callable[[str, bytes], dict[str, str]]:
        return lambda key, data: {**self.signed(key, data), "hikyaku-manifest": raw}


def _bytes(raw: str) -> bytes | None:
    try:
        return base64.b64decode(raw, validate=True)
    except ValueError:
        return None
