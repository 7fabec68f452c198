"""Who sent it: every way in which manifest and signature can be wrong has its code, and nothing of such a file is published."""

import hashlib
from typing import Any
from urllib.parse import quote

import pytest

from fakes.gate import DECLARED, FILE, KEY, OTHER, Gate, taken
from fakes.senders import ACME, metadata, public, signature, stated
from shared.errors import ErrorCode
from shared.spool import published


def test_a_signed_file_is_taken_and_its_signer_named(gate: Gate) -> None:
    item = gate.take(gate.signed())
    assert taken(item) == (ACME, DECLARED)
    assert published(gate.spool, item.file.file_id).exists()


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
@pytest.mark.parametrize("key", ["acme", "rsa"])
def test_ed25519_and_rsa_are_taken_with_either_hash(gate: Gate, key: str, hash_name: str) -> None:
    gate.know(f"{ACME} {public(gate.keys[key])}")
    manifest = stated(FILE)
    assert taken(gate.take(metadata(manifest, signature(manifest, gate.keys[key], "hikyaku", "-O", f"hashalg={hash_name}"))))[0] == ACME


def test_groups_and_rows_travel_on(gate: Gate) -> None:
    declared = taken(gate.take(gate.signed(rows=1, group="2026-11", part=2, parts=3)))[1]
    assert declared == DECLARED.model_copy(update={"rows": 1, "group": "2026-11", "part": 2, "parts": 3})


def test_the_key_that_counts_is_the_objects_own(gate: Gate) -> None:
    key = "incoming/orders/two words+注文.csv.gz.age"
    assert taken(gate.take(gate.signed(key=key), key=key, announced=quote(key)))[0] == ACME


def test_metadata_under_large_names_is_the_same(gate: Gate) -> None:
    assert taken(gate.take({name.title(): value for name, value in gate.signed().items()}))[0] == ACME


# One code for each


def test_no_signature(gate: Gate) -> None:
    assert gate.code({}) == ErrorCode.SIGNATURE_MISSING
    assert gate.code(metadata(stated(FILE))) == ErrorCode.SIGNATURE_MISSING
    assert gate.version.wires[0].given == 0, "not a byte was read"


def test_metadata_that_s3_keeps_to_itself_is_told(gate: Gate) -> None:
    problem = gate.take({}, MissingMeta=2).problem
    assert problem is not None
    assert "2 entries" in problem.message


def test_a_signature_without_its_manifest(gate: Gate) -> None:
    said = gate.signed()
    del said["hikyaku-manifest"]
    assert gate.code(said) == ErrorCode.MANIFEST_INVALID


def test_another_namespace(gate: Gate) -> None:
    assert gate.code(gate.signed(namespace="git")) == ErrorCode.SIGNATURE_INVALID
    assert gate.code(gate.signed(namespace="git", by="stranger")) == ErrorCode.SIGNATURE_INVALID


def test_a_stranger(gate: Gate) -> None:
    assert gate.code(gate.signed(by="stranger")) == ErrorCode.SIGNER_UNKNOWN
    (gate.folder / "allowed_signers").unlink()
    assert gate.code(gate.signed()) == ErrorCode.SIGNER_UNKNOWN, "without a file, everybody is one"


def test_a_known_key_speaks_for_nobody_else(gate: Gate) -> None:
    gate.know(f"{ACME} {public(gate.keys['acme'])}", f"branch@example.com {public(gate.keys['stranger'])}")
    assert gate.code(gate.signed(by="stranger")) == ErrorCode.SIGNER_UNKNOWN
    assert gate.code(gate.signed(sender="branch@example.com")) == ErrorCode.SIGNER_UNKNOWN


@pytest.mark.parametrize("option", ['valid-before="20261111235959Z"', 'valid-after="202611120001Z"', 'valid-before="20200101"'])
def test_a_key_that_does_not_hold_when_s3_takes_the_file(gate: Gate, option: str) -> None:
    gate.know(f"{ACME} {option} {public(gate.keys['acme'])}")
    assert gate.code(gate.signed()) == ErrorCode.SIGNER_EXPIRED
    assert gate.code(gate.signed(created_at="2019-12-31T00:00:00Z")) == ErrorCode.SIGNER_EXPIRED, "dated back"


@pytest.mark.parametrize(
    "option", ['valid-before="20261112000000Z"', 'valid-after="20261112Z"', 'valid-after="20250101Z",valid-before="20270101"']
)
def test_a_key_that_does_hold(gate: Gate, option: str) -> None:
    gate.know(f"{ACME} {option} {public(gate.keys['acme'])}")
    assert taken(gate.take(gate.signed(created_at="2031-01-01T00:00:00Z")))[0] == ACME, "the sender's clock decides nothing"


def test_a_key_for_other_namespaces(gate: Gate) -> None:
    gate.know(f'{ACME} namespaces="git,file" {public(gate.keys["acme"])}')
    assert gate.code(gate.signed()) == ErrorCode.SIGNER_NOT_ALLOWED


def test_senders_of_all_datasets(gate: Gate) -> None:
    gate.configure('[defaults]\nsenders = "branch"\n[datasets.stock]\nsenders = "*"\n')
    assert gate.code(gate.signed()) == ErrorCode.SIGNER_NOT_ALLOWED
    stock = "incoming/stock/a.csv.gz.age"
    assert taken(gate.take(gate.signed(key=stock), key=stock))[0] == ACME


@pytest.mark.parametrize(("senders", "code"), [('["branch", "*@example.com"]', None), ('"b*"', ErrorCode.SIGNER_NOT_ALLOWED)])
def test_a_dataset_has_its_own_senders(gate: Gate, senders: str, code: str | None) -> None:
    gate.configure(f"[datasets.orders]\nsenders = {senders}\n[datasets.stock]\n")
    problem = gate.take(gate.signed()).problem
    assert (problem and problem.error_code) == code
    stock = "incoming/stock/a.csv.gz.age"
    assert taken(gate.take(gate.signed(key=stock), key=stock))[0] == ACME


def test_a_dry_run_asks_the_same(gate: Gate) -> None:
    gate.configure('[datasets.orders]\nsenders = "branch"\n')
    key = "incoming/test/orders/a.csv.gz.age"
    assert gate.code(gate.signed(key=key), key=key) == ErrorCode.SIGNER_NOT_ALLOWED


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "incoming/orders/b.csv.gz.age"},
        {"key": "incoming/stock/a.csv.gz.age"},
        {"key": KEY.upper()},
        {"bucket": "hikyaku-test-2"},
        {"size": len(FILE) - 1},
    ],
    ids=str,
)
def test_a_manifest_of_another_object_is_refused_unread(gate: Gate, changes: dict[str, Any]) -> None:
    assert gate.code(gate.signed(**changes)) == ErrorCode.MANIFEST_MISMATCH
    assert gate.version.wires[0].given == 0


def test_an_object_that_was_exchanged_is_not_published(gate: Gate) -> None:
    problem = gate.take(gate.signed(size=len(OTHER)), OTHER).problem
    assert problem is not None
    assert (problem.error_code, "sha256" in problem.message) == (ErrorCode.MANIFEST_MISMATCH, True)
    assert list(gate.spool.iterdir()) == []


def test_an_old_manifest_is_refused_where_that_is_asked_for(gate: Gate) -> None:
    old = gate.signed(created_at="2026-11-10T00:00:00Z")
    assert taken(gate.take(old))[0] == ACME
    gate.configure("", max_age=2 * 86_400)
    assert taken(gate.take(old))[0] == ACME
    for path in gate.spool.iterdir():
        path.unlink()
    gate.configure("", max_age=2 * 86_400 - 1)
    assert gate.code(old) == ErrorCode.MANIFEST_MISMATCH
    assert taken(gate.take(gate.signed(created_at="9999-12-31T23:59:59-14:00")))[0] == ACME


# The policies


def test_unsigned_files_where_they_may_come(gate: Gate) -> None:
    gate.configure('[defaults]\nsignature = "if_present"\n')
    assert taken(gate.take({})) == (None, None)
    assert taken(gate.take(metadata(stated(FILE)))) == (None, DECLARED)
    assert taken(gate.take(gate.signed())) == (ACME, DECLARED)
    for path in gate.spool.iterdir():
        path.unlink()
    assert gate.code(metadata(stated(FILE, key="incoming/orders/b.csv.gz.age"))) == ErrorCode.MANIFEST_MISMATCH
    assert gate.code(metadata(stated(OTHER)), FILE) == ErrorCode.MANIFEST_MISMATCH
    assert gate.code(gate.signed(by="stranger")) == ErrorCode.SIGNER_UNKNOWN


def test_where_nobody_looks_at_signatures(gate: Gate) -> None:
    gate.configure('[defaults]\nsignature = "off"\n')
    assert taken(gate.take(gate.signed(by="stranger"))) == (None, DECLARED), "nobody vouches"
    assert taken(gate.take({"hikyaku-signature": "?"})) == (None, None)
    for path in gate.spool.iterdir():
        path.unlink()
    assert gate.code(gate.signed(bucket="elsewhere")) == ErrorCode.MANIFEST_MISMATCH


def test_a_key_of_no_dataset_is_refused(gate: Gate) -> None:
    gate.configure('[datasets.orders]\nmatch = "incoming/orders/2*"\nsignature = "off"\n')
    assert gate.code({}) == ErrorCode.DATASET_INVALID


def test_the_hash_is_the_ciphertexts(gate: Gate) -> None:
    assert gate.take(gate.signed()).sha256 == hashlib.sha256(FILE).hexdigest()
