"""What a group is told of a part that nobody decrypts: it must be the sender's own, and nobody else can say it."""

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from decryptor.caps import Caps
from decryptor.tasks import decrypt_item, decrypt_parcel
from fakes.gate import DECLARED, FILE, KEY, Gate
from fakes.s3 import client_error
from fakes.senders import ACME, metadata, stated
from shared import losses
from shared.contract import Declared, Decrypted, DecryptedParcel, FileRef, Parcel, Problem
from shared.datasets_file import DatasetsFile

GROUP: dict[str, Any] = {"group": "2026-11", "part": 2, "parts": 3}
PART = DECLARED.model_copy(update=GROUP)
TAMPERED = FILE[:-5] + bytes([FILE[-5] ^ 1]) + FILE[-4:]
LOST = losses.TRIES
NOBODYS: tuple[str | None, Declared | None] = (None, None)


def known(item: Decrypted) -> tuple[str | None, Declared | None]:
    return item.signer, item.declared


def given_up(gate: Gate, file: FileRef, lost: int = LOST, problem: Problem | None = None) -> Decrypted:
    """After its processes died, or by the poller."""
    data = Parcel(parcel_id="p", files=(file,), problem=problem).dump()
    [item] = DecryptedParcel.read(decrypt_parcel(gate.bench(), data, lost)).items
    assert item.problem is not None
    assert list(gate.spool.iterdir()) == []
    return item


def test_a_part_that_crashed_tells_its_group(gate: Gate) -> None:
    item = given_up(gate, gate.put(gate.signed(**GROUP)))
    assert item.problem is not None
    assert (item.problem.error_code, item.problem.retry) == ("crashed", False)
    assert known(item) == (ACME, PART)
    assert gate.version.wires[-1].closed


def test_a_part_that_the_poller_has_given_up_tells_its_group(gate: Gate) -> None:
    problem = Problem(error_code="timeout", message="three times", retry=False)
    item = given_up(gate, gate.put(gate.signed(**GROUP)), 0, problem)
    assert (item.problem, known(item)) == (problem, (ACME, PART))


def test_an_unsigned_part_speaks_for_unsigned_groups(gate: Gate) -> None:
    gate.configure('[defaults]\nsignature = "if_present"\n')
    item = given_up(gate, gate.put(metadata(stated(FILE, **GROUP))))
    assert known(item) == (None, PART)


def test_what_is_not_the_sender_s_own_tells_no_group(gate: Gate) -> None:
    """Put by whoever may write there, with what the sender had signed for other bytes, or for another place."""
    theirs = gate.signed(**GROUP)
    for said, data, key in (
        (theirs, TAMPERED, KEY),
        (theirs, FILE + b"x", KEY),
        (theirs, FILE, KEY.replace("a.csv", "b.csv")),
        (metadata(stated(FILE, **GROUP)), FILE, KEY),
        (gate.signed(by="stranger", **GROUP), FILE, KEY),
        ({}, FILE, KEY),
    ):
        assert known(given_up(gate, gate.put(said, data, key=key))) == NOBODYS
    assert known(given_up(gate, gate.put(theirs))) == (ACME, PART)


def test_a_file_by_itself_is_not_read(gate: Gate) -> None:
    assert known(given_up(gate, gate.put(gate.signed()))) == NOBODYS
    assert gate.version.wires[-1].given == 0


def test_nothing_is_known_of_what_is_gone_or_can_not_be_had(gate: Gate) -> None:
    file = gate.put(gate.signed(**GROUP))

    def fail(error: Exception) -> None:
        raise error

    for error in (client_error("SlowDown"), client_error("AccessDenied"), EndpointConnectionError(endpoint_url="s3")):
        gate.s3.before = lambda _, error=error: fail(error)  # type: ignore[misc]
        assert known(given_up(gate, file)) == NOBODYS
    gate.s3.before = None
    gate.s3.versions.clear()
    assert known(given_up(gate, file)) == NOBODYS


def test_a_look_that_cost_a_process_is_not_taken_again(gate: Gate) -> None:
    file = gate.put(gate.signed(**GROUP))
    assert known(given_up(gate, file, losses.MOST_RETRIES)) == NOBODYS
    assert gate.s3.requests == []


def test_what_goes_back_to_sqs_tells_nobody(gate: Gate) -> None:
    given_up(gate, gate.put(gate.signed(**GROUP)), 0, Problem(error_code="crashed", message="another's", retry=True))
    assert gate.s3.requests == []


def test_a_part_that_is_too_large_tells_its_group_unread(gate: Gate) -> None:
    file = gate.put(gate.signed(**GROUP))
    admit = Caps(gate.spool, DatasetsFile(gate.folder / "datasets.toml"), max_file_bytes=1).admit
    item = decrypt_item(gate.bench(admit=admit), file)
    assert (item.problem and item.problem.error_code, known(item)) == ("too_large", (ACME, PART))
    assert gate.version.wires[-1].given == 0


@pytest.mark.parametrize("said", [GROUP, {}])
def test_too_large_for_its_manifest_too_tells_no_group(gate: Gate, said: dict[str, Any]) -> None:
    file = gate.put(gate.signed(**said), FILE + b"x" if said else FILE)
    admit = Caps(gate.spool, DatasetsFile(gate.folder / "datasets.toml"), max_file_bytes=1).admit
    assert known(decrypt_item(gate.bench(admit=admit), file)) == NOBODYS
