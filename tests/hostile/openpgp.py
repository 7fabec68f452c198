"""OpenPGP: messages that are none, hold something else, were damaged, or are not their sender's to send; and what gpg may make."""

import gzip
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from line import Line, encrypt, gzipped
from openpgp_keys import introduce

from fakes import openpgp_packets as packets
from fakes.gpg import ABSENT, People, Person, people, person
from fakes.openpgp_messages import PACKINGS, REFUSED, bomb, by_hand
from fakes.senders import ACME
from hostile.case import LOADED, Case
from hostile.manifests import OTHER, Desk

LONG_AGO = "20200101T000000"
"""Keys are made, and files signed, then: the line takes files by today's clock."""
SOON_AFTER = "20200601T000000"
PART = {"group": "g", "part": 1, "parts": 2}
SUFFIX = ".csv.gz.gpg"
MIB = 1024**2
OPTIONS = {
    "as it comes": (),
    "not packed": ("--compress-algo", "none"),
    "bzip2": ("--compress-algo", "bzip2"),
    "hidden recipient": ("--throw-keyids",),
    "a name that steers a terminal": ("--set-filename", "../../etc/passwd\x1b[31m"),
    "a notation that looks like gpg's word": ("--sig-notation", "[GNUPG:]@example.com=VALIDSIG"),
}
"""All of which are good."""


@dataclass(frozen=True)
class Post:
    """Who sends OpenPGP: people of whom the line knows acme, another sender whom it knows, and one of acme's keys that has run out."""

    people: People
    other: Person
    old: Person


@contextmanager
def post(line: Line) -> Iterator[Post | None]:
    """Their keys are in the line's folders. None where gpg is not installed."""
    if ABSENT:
        yield None
        return
    with ExitStack() as stack:
        everybody = stack.enter_context(people(LONG_AGO, LONG_AGO))
        other = stack.enter_context(person("other", at=LONG_AGO, signs_at=LONG_AGO))
        old = stack.enter_context(person("old", expires=SOON_AFTER, at=LONG_AGO, signs_at=LONG_AGO))
        introduce(line.folder, everybody.host, {ACME: (everybody.acme, old), OTHER: (other,)})
        yield Post(everybody, other, old)


def messages(dataset: str, post: Post, recipient: str) -> list[Case]:
    """To a dataset that takes what nobody signed too."""
    everybody, content = post.people, _gzip(0)
    found = [(name, code, make(everybody, content)) for name, (make, code) in REFUSED.items()]
    found += [(f"bomb of {name}", "too_large", bomb(everybody, packing)) for name, packing in PACKINGS.items()]
    found += [(f"good: {name}", LOADED, everybody.seal(_gzip(n), options=options)) for n, (name, options) in enumerate(OPTIONS.items(), 1)]
    found += _damaged(everybody, content) + _within(everybody) + _addressed(post, content)
    found.append(("an age file under OpenPGP's name", "openpgp_invalid", encrypt(content, recipient)))
    return [_case(dataset, f"openpgp-{number}{SUFFIX}", name, code, data) for number, (name, code, data) in enumerate(found)] + [
        _case(dataset, f"openpgp-{number}.csv.gz.age", f"{name} under age's name", "age_header_invalid", data)
        for number, (name, data) in enumerate(
            {"OpenPGP": everybody.seal(content), "armored OpenPGP": everybody.seal(content, options=("--armor",))}.items()
        )
    ]


def _gzip(number: int) -> bytes:
    """A CSV, not the same for two numbers: the same content again would be a duplicate."""
    return gzipped(b"id,v,note\n-%d,a,b\n" % (1000 + number))


Made = tuple[str, str, bytes]
"""What it is, what becomes of it, and the object."""


def _damaged(everybody: People, content: bytes) -> list[Made]:
    sound = everybody.seal(content, sign=False)
    data = len(sound) - len(packets.first(sound)[1])
    return [
        ("cut within the session key", "openpgp_invalid", sound[: data // 2]),
        ("cut behind the session key", "openpgp_invalid", sound[:data]),
        ("cut within the data", "ciphertext_corrupt", sound[: data + 60]),
        ("cut before its end", "ciphertext_corrupt", sound[:-1]),
        ("session key altered", "ciphertext_corrupt", _altered(sound, data - 10)),
        ("data altered", "ciphertext_corrupt", _altered(sound, data + 60)),
        ("code of integrity altered", "ciphertext_corrupt", _altered(sound, len(sound) - 1)),
        ("cut, and signed", "ciphertext_corrupt", everybody.seal(content)[:-30]),
    ]


def _altered(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _within(everybody: People) -> list[Made]:
    """Sound messages about something that won't do."""
    found = {
        "nothing": ("gzip_invalid", b""),
        "no gzip": ("gzip_invalid", b"id,v,note\n-1,a,b\n"),
        "cut gzip": ("gzip_invalid", _gzip(0)[:-9]),
        "a bomb": ("too_large", gzip.compress(b"id,v,note\n" + b"-1,a,b\n" * 5 * MIB)),
        "other columns": ("columns_mismatch", gzipped(b"a,b,c\n1,2,3\n")),
        "a message": ("gzip_invalid", everybody.seal(_gzip(0))),
    }
    return [(f"within: {name}", code, everybody.seal(data)) for name, (code, data) in found.items()]


def _addressed(post: Post, content: bytes) -> list[Made]:
    host, stranger, acme = post.people.host.card, post.people.stranger.card, post.people.acme
    return [
        ("good: to another too", LOADED, acme.seal(_gzip(21), stranger, host)),
        ("good: signed by nobody", LOADED, post.people.seal(_gzip(22), sign=False)),
        ("hidden, to another first", "openpgp_invalid", acme.seal(content, stranger, host, options=("--throw-keyids",))),
        ("signed by a stranger, and taken unsigned", "signer_unknown", post.people.stranger.seal(content, host)),
    ]


def senders(dataset: str, post: Post, desk: Desk) -> list[Case]:
    """To a dataset that takes what acme signed, and nothing else: messages alone, and with a manifest beside them."""
    host, content = post.people.host.card, _gzip(0)
    unsigned, signed = post.people.seal(content, sign=False), post.people.seal(content)
    by_stranger = post.people.stranger.seal(content, host)
    found: dict[str, tuple[str, bytes, Callable[[str, bytes], Mapping[str, str]]]] = {
        "by nobody": ("signature_missing", unsigned, _nothing),
        "by a stranger": ("signer_unknown", by_stranger, _nothing),
        "by the host itself": ("signer_unknown", post.people.host.seal(content, host), _nothing),
        "by a sender of other datasets": ("signer_not_allowed", post.other.seal(content, host), _nothing),
        "by a key that has run out": ("signer_expired", post.old.seal(content, host), _nothing),
        **{f"signature {name}": (code, data, _nothing) for name, code, data in _weak(post.people, content)},
        "by two": ("signature_invalid", _twice(post, content), _nothing),
        "signed outside of the encryption": ("openpgp_invalid", unsigned + post.people.acme.gpg("--sign", data=content), _nothing),
        "good: by acme": (LOADED, post.people.seal(_gzip(1)), _nothing),
        "good: by nobody, manifest signed": (LOADED, post.people.seal(_gzip(2), sign=False), desk.signed),
        "by a stranger, manifest signed": ("signer_unknown", by_stranger, desk.signed),
        "another file's manifest": ("manifest_mismatch", signed, lambda _key, data: desk.signed("incoming/x/a.csv.gz.gpg", data)),
        "unsigned manifest of another hash": ("manifest_mismatch", signed, lambda key, data: desk.unsigned(key, data, sha256="0" * 64)),
        "unsigned manifest of a group": (
            "signature_missing",
            signed,
            lambda key, data: desk.unsigned(key, data, group="g", part=1, parts=2),
        ),
    }
    return [
        Case(name=name, expected=code, key=key, content=data, metadata=say(key, data))
        for number, (name, (code, data, say)) in enumerate(found.items())
        for key in (f"incoming/{dataset}/sender-{number}{SUFFIX}",)
    ]


def _nothing(_key: str, _data: bytes) -> Mapping[str, str]:
    return {}


def _weak(everybody: People, content: bytes) -> list[Made]:
    other = by_hand(everybody, content, lambda packets_within: packets_within.replace(content, _gzip(9)))
    return [
        ("of another content", "signature_invalid", other),
        ("that has run out", "signer_expired", everybody.seal(content, options=("--default-sig-expire", "1d"))),
        ("with SHA-1", "signature_invalid", everybody.seal(content, options=("--digest-algo", "SHA1"))),
        ("of text", "signature_invalid", everybody.seal(content, options=("--textmode",))),
    ]


def _twice(post: Post, content: bytes) -> bytes:
    acme, other = post.people.acme, post.other
    other.gpg("--import", data=acme.secret())
    return other.seal(content, post.people.host.card, options=("--local-user", acme.fingerprint))


def _case(dataset: str, name: str, what: str, expected: str, data: bytes) -> Case:
    return Case(name=what, expected=expected, key=f"incoming/{dataset}/{name}", content=data)
