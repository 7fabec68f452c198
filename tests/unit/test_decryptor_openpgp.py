"""OpenPGP files of every kind that gpg makes, and of many that it would not, through the decryptor."""

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fakes import openpgp_packets as packets
from fakes.gpg import SIGNED, needs_gpg, person
from fakes.gpg_gate import ACME, KEY, GpgGate
from fakes.openpgp_messages import PACKINGS, REFUSED, Packing, bomb, by_hand, for_another, packed
from fakes.senders import make_key, metadata, public, signature, stated
from shared.errors import ErrorCode, Retryable

pytestmark = needs_gpg

CSV = b"id,item\n1,\xe5\xba\xa7\xe5\xb8\x83\xe5\x9b\xa3\n"
LARGE = os.urandom(3_000_000)

# What is taken

OPTIONS = {
    "as it comes": (),
    "not packed": ("--compress-algo", "none"),
    "zip": ("--compress-algo", "zip"),
    "zlib": ("--compress-algo", "zlib"),
    "bzip2": ("--compress-algo", "bzip2"),
    "hidden recipient": ("--throw-keyids",),
    "3des": ("--personal-cipher-preferences", "3DES", "--cipher-algo", "3DES"),
    "camellia": ("--cipher-algo", "CAMELLIA256"),
    "sha224": ("--digest-algo", "SHA224"),
    "rfc4880": ("--rfc4880",),
    "named": ("--set-filename", "../../etc/passwd\x1b[31m"),
    "for your eyes only": ("--for-your-eyes-only",),
    "noted": ("--sig-notation", "[GNUPG:]@example.com=VALIDSIG"),
}


@pytest.mark.parametrize("data", [b"", CSV, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_what_gpg_makes_is_opened(gpg_gate: GpgGate, data: bytes, options: tuple[str, ...]) -> None:
    content, item = gpg_gate.opened(gpg_gate.seal(data, options=options))
    assert content == data
    assert (item.signer, item.recipient_identity) == (gpg_gate.people.acme.fingerprint, gpg_gate.people.host.fingerprint)


@pytest.mark.parametrize("size", [*range(185, 200), 511, 512, 513, 8383, 8384, 8385, 65_536])
def test_each_form_of_length_is_understood(gpg_gate: GpgGate, size: int) -> None:
    """One, two and five octets, and the partial ones of a pipe (RFC 4880, section 4.2.2)."""
    data, file = os.urandom(size), gpg_gate.folder / "f"
    file.write_bytes(data)
    acme = gpg_gate.people.acme
    whole = acme.gpg("--recipient-file", str(gpg_gate.host), "--compress-algo", "none", "-s", "-e", "--output", "-", str(file))
    assert gpg_gate.opened(whole)[0] == data
    assert gpg_gate.opened(gpg_gate.seal(data))[0] == data


def test_another_format_of_packets_is_understood(gpg_gate: GpgGate) -> None:
    """gpg writes the old one before the encryption, and the new one for it."""
    body, rest = packets.first(gpg_gate.seal(CSV))
    assert gpg_gate.opened(packets.packet(packets.PKESK, body) + rest)[0] == CSV


def test_markers_are_passed_over_as_they_must_be(gpg_gate: GpgGate) -> None:
    """RFC 4880, section 5.8. gpg goes on reading after it has written all of the content."""
    markers = packets.packet(packets.MARKER, b"PGP")
    assert gpg_gate.opened(markers + gpg_gate.seal(CSV) + markers * 200_000)[0] == CSV


def test_one_of_several_recipients_may_be_ours(gpg_gate: GpgGate) -> None:
    other, acme = gpg_gate.people.stranger.card, gpg_gate.people.acme
    for order in ((other, gpg_gate.host), (gpg_gate.host, other)):
        assert gpg_gate.opened(acme.seal(CSV, *order))[0] == CSV
    assert gpg_gate.opened(acme.seal(CSV, gpg_gate.host, other, options=("--throw-keyids",)))[0] == CSV
    # gpg 2.2 opens this one too, and exits with 2.
    assert gpg_gate.code(acme.seal(CSV, other, gpg_gate.host, options=("--throw-keyids",))) == ErrorCode.OPENPGP_INVALID


@pytest.mark.parametrize("kind", ["rsa2048", "rsa3072"])
def test_rsa_opens_and_signs(gpg_gate: GpgGate, kind: str) -> None:
    with person("rsa", kind) as rsa:
        gpg_gate.hold("rsa.asc", rsa.secret())
        gpg_gate.know("rsa@example.com", rsa.public())
        content, item = gpg_gate.opened(rsa.seal(CSV, rsa.card))
    assert (content, item.signer, item.recipient_identity) == (CSV, rsa.fingerprint, rsa.fingerprint)


def test_a_subkey_signs_for_its_primary_key(gpg_gate: GpgGate) -> None:
    with person("sub") as sub:
        sub.gpg("--quick-add-key", sub.fingerprint, "ed25519", "sign", "never", at="20261102T000000")
        gpg_gate.know("sub@example.com", sub.public())
        assert gpg_gate.opened(sub.seal(CSV, gpg_gate.host))[1].signer == sub.fingerprint


# Who sent it


def test_a_file_that_nobody_signed_is_refused_where_a_signature_is_asked_for(gpg_gate: GpgGate) -> None:
    unsigned = gpg_gate.seal(CSV, sign=False)
    assert gpg_gate.code(unsigned) == ErrorCode.SIGNATURE_MISSING
    gpg_gate.configure('[defaults]\nsignature = "if_present"\n')
    content, item = gpg_gate.opened(unsigned)
    assert (content, item.signer) == (CSV, None)


def test_a_file_by_an_unknown_key_is_refused(gpg_gate: GpgGate) -> None:
    by_stranger = gpg_gate.people.stranger.seal(CSV, gpg_gate.host)
    for policy in ("required", "if_present"):
        gpg_gate.configure(f'[defaults]\nsignature = "{policy}"\n')
        assert gpg_gate.code(by_stranger) == ErrorCode.SIGNER_UNKNOWN
    gpg_gate.configure('[defaults]\nsignature = "off"\n')
    assert gpg_gate.opened(by_stranger)[1].signer is None


def test_the_hosts_own_key_is_no_sender(gpg_gate: GpgGate) -> None:
    assert gpg_gate.code(gpg_gate.people.host.seal(CSV, gpg_gate.host)) == ErrorCode.SIGNER_UNKNOWN


def test_a_sender_may_send_what_the_dataset_says(gpg_gate: GpgGate) -> None:
    sealed = gpg_gate.seal(CSV)
    for senders, code in (('["other@example.com"]', ErrorCode.SIGNER_NOT_ALLOWED), (f'["!{ACME},*"]', ErrorCode.SIGNER_NOT_ALLOWED)):
        gpg_gate.configure(f"[datasets.orders]\nsenders = {senders}\n")
        assert gpg_gate.code(sealed) == code
    gpg_gate.configure(f'[datasets.orders]\nsenders = ["{ACME}"]\n')
    assert gpg_gate.opened(sealed)[0] == CSV


def test_a_sender_that_is_removed_is_unknown_with_the_next_file(gpg_gate: GpgGate) -> None:
    sealed = gpg_gate.seal(CSV)
    assert gpg_gate.opened(sealed)[0] == CSV
    (gpg_gate.folder / "senders" / f"{ACME}.asc").unlink()
    assert gpg_gate.code(sealed) == ErrorCode.SIGNER_UNKNOWN
    gpg_gate.know(ACME, gpg_gate.people.acme.public())
    assert gpg_gate.opened(sealed)[0] == CSV


def test_two_signatures_are_none(gpg_gate: GpgGate) -> None:
    with person("second") as second:
        acme = gpg_gate.people.acme
        second.gpg("--import", data=acme.secret())
        twice = second.seal(CSV, gpg_gate.host, options=("--local-user", acme.fingerprint))
        gpg_gate.know("second@example.com", second.public())
        assert gpg_gate.code(twice) == ErrorCode.SIGNATURE_INVALID


WEAK = {"sha1": ("--digest-algo", "SHA1"), "textmode": ("--textmode",)}


@pytest.mark.parametrize("options", WEAK.values(), ids=WEAK)
def test_a_weak_signature_is_none(gpg_gate: GpgGate, options: tuple[str, ...]) -> None:
    assert gpg_gate.code(gpg_gate.seal(CSV, options=options)) == ErrorCode.SIGNATURE_INVALID


def test_a_key_holds_when_s3_took_the_file(gpg_gate: GpgGate) -> None:
    with person("brief", expires="20261120T000000") as brief:
        gpg_gate.know("brief@example.com", brief.public())
        sealed = brief.seal(CSV, gpg_gate.host)
    assert gpg_gate.opened(sealed, event_time="2026-11-19T00:00:00Z")[0] == CSV
    assert gpg_gate.code(sealed, event_time="2026-11-21T00:00:00Z") == ErrorCode.SIGNER_EXPIRED


def test_a_signature_may_run_out_too(gpg_gate: GpgGate) -> None:
    sealed = gpg_gate.seal(CSV, options=("--default-sig-expire", "1d"))
    assert gpg_gate.code(sealed, event_time="2026-11-12T00:00:00Z") == ErrorCode.SIGNER_EXPIRED


def test_a_revoked_key_vouches_for_nothing(gpg_gate: GpgGate) -> None:
    with person("gone") as gone:
        sealed = gone.seal(CSV, gpg_gate.host)
        certificate = (gone.home / "openpgp-revocs.d" / f"{gone.fingerprint}.rev").read_bytes().replace(b":-----BEGIN", b"-----BEGIN")
        gpg_gate.know("gone@example.com", gone.public())
        assert gpg_gate.opened(sealed)[0] == CSV
        gone.gpg("--import", data=certificate)
        gpg_gate.know("gone@example.com", gone.public())
    # What was known of it is kept, and told: the file is tried again rather than taken.
    assert gpg_gate.openpgp.senders.problems == ()
    gpg_gate.build()
    assert gpg_gate.code(sealed, retry=True) == ErrorCode.SIGNER_UNKNOWN


def test_an_old_signature_may_be_refused(gpg_gate: GpgGate) -> None:
    sealed = gpg_gate.seal(CSV)
    gpg_gate.build(max_age=2 * 86400)
    assert gpg_gate.opened(sealed)[0] == CSV
    gpg_gate.build(max_age=2 * 86400 - 1)
    assert gpg_gate.code(sealed) == ErrorCode.SIGNATURE_INVALID


# With a manifest


@pytest.fixture
def ssh(gpg_gate: GpgGate) -> Path:
    key = make_key(gpg_gate.folder / "ssh")
    (gpg_gate.folder / "allowed_signers").write_text(f"{ACME} {public(key)}\n")
    gpg_gate.build()
    return key


def manifest(data: bytes, key: Path | None, **changes: Any) -> dict[str, str]:
    said = stated(data, key=KEY, **changes)
    return metadata(said, signature(said, key) if key else None)


def test_a_signed_manifest_will_do(gpg_gate: GpgGate, ssh: Path) -> None:
    sealed = gpg_gate.seal(CSV, sign=False)
    _, item = gpg_gate.opened(sealed, said=manifest(sealed, ssh))
    assert item.signer == ACME
    assert item.declared is not None
    assert item.declared.seq == 7
    assert gpg_gate.code(sealed, said=manifest(sealed, ssh, sha256="0" * 64)) == ErrorCode.MANIFEST_MISMATCH


def test_a_wrong_signature_is_wrong_beside_a_signed_manifest_too(gpg_gate: GpgGate, ssh: Path) -> None:
    sealed = gpg_gate.people.stranger.seal(CSV, gpg_gate.host)
    assert gpg_gate.code(sealed, said=manifest(sealed, ssh)) == ErrorCode.SIGNER_UNKNOWN


def test_an_openpgp_signature_does_not_vouch_for_the_manifest(gpg_gate: GpgGate) -> None:
    sealed = gpg_gate.seal(CSV)
    _, item = gpg_gate.opened(sealed, said=manifest(sealed, None))
    assert (item.signer, item.declared) == (gpg_gate.people.acme.fingerprint, None)
    part = manifest(sealed, None, group="g", part=1, parts=2)
    assert gpg_gate.code(sealed, said=part) == ErrorCode.SIGNATURE_MISSING
    assert gpg_gate.code(sealed, said=manifest(sealed, None, sha256="0" * 64)) == ErrorCode.MANIFEST_MISMATCH


# What is refused


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(gpg_gate: GpgGate, name: str) -> None:
    make, code = REFUSED[name]
    for policy in ("if_present", "required", "off"):
        gpg_gate.configure(f'[defaults]\nsignature = "{policy}"\n')
        seen = gpg_gate.code(make(gpg_gate.people, CSV)) if (policy, code) != ("off", "signature_invalid") else code
        assert seen == code, policy


@pytest.mark.parametrize("at", [0, 1, 100, -30, -1])
def test_nothing_wrong_is_wrong_with_the_tools_of_these_tests(gpg_gate: GpgGate, at: int) -> None:
    """What is made by hand opens, as long as nothing is changed; and does not when the least is."""
    good = by_hand(gpg_gate.people, CSV, lambda plain: plain)
    assert gpg_gate.opened(good)[0] == CSV
    bad = bytearray(good)
    bad[at] ^= 1
    gpg_gate.code(bytes(bad))


# Damage

DAMAGE = {"openpgp_invalid", "no_matching_identity", "ciphertext_corrupt", "signature_invalid"}


def test_every_flipped_bit_is_noticed(gpg_gate: GpgGate) -> None:
    """What is protected begins behind the session key. A bit before it may be of no account: then the content is what was sealed."""
    good = gpg_gate.seal(CSV)
    protected = len(good) - len(packets.first(good)[1])
    for offset in range(len(good)):
        data = bytearray(good)
        data[offset] ^= 1 << (offset % 8)
        item = gpg_gate.take(bytes(data))
        if item.problem is None:
            assert offset < protected
            assert gpg_gate.opened(bytes(data))[0] == CSV
        else:
            assert (item.problem.error_code in DAMAGE, item.problem.retry) == (True, False), offset
            assert list(gpg_gate.spool.iterdir()) == []


def test_every_truncation_is_noticed(gpg_gate: GpgGate) -> None:
    gpg_gate.configure('[defaults]\nsignature = "if_present"\n')
    good = gpg_gate.seal(CSV)
    for end in range(len(good)):
        assert gpg_gate.code(good[:end]) in DAMAGE, end


@pytest.mark.parametrize("policy", ["required", "off"])
@pytest.mark.parametrize("offset", [2_999_000, 1_500_000, 100_000, -1, -21, -22, -23])
def test_damage_in_a_large_file_is_noticed(gpg_gate: GpgGate, offset: int, policy: str) -> None:
    gpg_gate.configure(f'[defaults]\nsignature = "{policy}"\n')
    data = bytearray(gpg_gate.seal(LARGE))
    data[offset] ^= 1
    assert gpg_gate.code(bytes(data)) in DAMAGE


# Bombs


@pytest.mark.parametrize("packing", PACKINGS.values(), ids=PACKINGS)
def test_a_bomb_is_refused_when_it_is_too_large(gpg_gate: GpgGate, packing: Packing) -> None:
    gpg_gate.configure('[defaults]\nsignature = "if_present"\n')
    assert gpg_gate.code(bomb(gpg_gate.people, packing)) == ErrorCode.TOO_LARGE
    assert gpg_gate.opened(packed(gpg_gate.people, packing, b"id\n"))[0] == b"id\n"


def test_what_the_dataset_allows_is_the_bound(gpg_gate: GpgGate) -> None:
    gpg_gate.configure("[datasets.orders]\nmax_bytes = 1000000\n")
    assert gpg_gate.code(gpg_gate.seal(bytes(4_000_000))) == ErrorCode.TOO_LARGE
    assert len(gpg_gate.opened(gpg_gate.seal(bytes(2_000_000)))[0]) == 2_000_000


# The world around it


def test_a_connection_that_breaks_is_tried_again(gpg_gate: GpgGate) -> None:
    data = gpg_gate.seal(LARGE)
    for cut in (0, 100, 1_500_000, len(data)):

        def broken(_: dict[str, Any], cut: int = cut) -> None:
            gpg_gate.version.data, gpg_gate.version.failure = data[:cut], ConnectionResetError(errno.ECONNRESET, "reset")

        gpg_gate.s3.before = broken
        assert gpg_gate.code(data, retry=True) == ErrorCode.STORAGE_UNAVAILABLE
    gpg_gate.s3.before = None
    assert gpg_gate.opened(data)[0] == LARGE


def test_without_a_key_the_host_opens_nothing(gpg_gate: GpgGate, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = gpg_gate.seal(CSV)
    (gpg_gate.folder / "identities" / "host.asc").rename(gpg_gate.folder / "aside.asc")
    assert gpg_gate.code(sealed, retry=True) == ErrorCode.NO_MATCHING_IDENTITY, "an empty keyring is a slip of the hand"
    make_key(gpg_gate.folder / "identities" / "ssh")
    assert gpg_gate.code(sealed) == ErrorCode.NO_MATCHING_IDENTITY
    monkeypatch.setenv("PATH", str(gpg_gate.folder))
    for sender in (gpg_gate.folder / "senders").iterdir():
        sender.unlink()
    problem = gpg_gate.take(sealed).problem
    assert problem is not None
    assert (problem.error_code, problem.retry) == (ErrorCode.OPENPGP_INVALID, False)
    assert "gpg is not installed on the host" in problem.message


def test_gpg_that_is_gone_is_waited_for(gpg_gate: GpgGate, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = gpg_gate.seal(CSV)
    assert gpg_gate.opened(sealed)[0] == CSV
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(gpg_gate.folder))
        assert gpg_gate.code(sealed, retry=True) == ErrorCode.GPG_UNAVAILABLE
    assert gpg_gate.opened(sealed)[0] == CSV


def test_an_agent_that_dies_rejects_no_file(gpg_gate: GpgGate, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = gpg_gate.seal(CSV)
    assert gpg_gate.opened(sealed)[0] == CSV
    # gpg alone, without the agent that starts it.
    monkeypatch.setattr("decryptor.gnupg_home.AGENT", ("env",))
    start = subprocess.Popen

    def without(command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        return start(command[command.index("gpg") :], **options)

    monkeypatch.setattr("decryptor.gnupg_home.subprocess.Popen", without)
    assert gpg_gate.code(sealed, retry=True) == ErrorCode.GPG_UNAVAILABLE


def test_a_key_that_is_out_of_order_may_be_the_one(gpg_gate: GpgGate) -> None:
    sealed = for_another(gpg_gate.people, CSV)
    assert gpg_gate.code(sealed) == ErrorCode.NO_MATCHING_IDENTITY
    broken = gpg_gate.hold("stranger.asc", gpg_gate.people.stranger.secret()[:300])
    assert gpg_gate.code(sealed, retry=True) == ErrorCode.NO_MATCHING_IDENTITY
    broken.write_bytes(gpg_gate.people.stranger.secret())
    assert gpg_gate.opened(sealed)[1].recipient_identity == gpg_gate.people.stranger.fingerprint


def test_a_sink_that_is_full_passes_through(gpg_gate: GpgGate, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise Retryable(ErrorCode.SPOOL_UNAVAILABLE, "full")

    monkeypatch.setattr("decryptor.spool.Attempt.write", full)
    assert gpg_gate.code(gpg_gate.seal(LARGE), retry=True) == ErrorCode.SPOOL_UNAVAILABLE


def test_files_are_signed_before_s3_takes_them() -> None:
    assert SIGNED < "20261112"
