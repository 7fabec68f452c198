"""Whatever comes from outside, whoever reads it has a result or the stated error, and nothing else: no other exception, no hang, no quote.

Examples are the same at every run. For others: HIKYAKU_FUZZ_EXAMPLES=20000, and a seed by `--hypothesis-seed`.
"""

import base64
import json
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pyrage
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from decryptor import key_file
from decryptor.key_file import IdentityFileError
from fakes.line import BUCKET, eventbridge, native, native_record
from loader import front, header, records
from loader.dialect import Dialect
from loader.front import Front
from loader.records import Sieve
from poller.events import Created, Ignored, InvalidEventError, parse
from shared.contract import FileRef
from shared.datasets import Dataset
from shared.errors import ErrorCode, Rejected
from shared.manifest import Manifest, unpacked
from shared.printable import printable

Result = TypeVar("Result")
Refusal = TypeVar("Refusal", bound=Exception)
MORE = os.environ.get("HIKYAKU_FUZZ_EXAMPLES")
FUZZ = settings(
    max_examples=int(MORE or 300), deadline=None, derandomize=not MORE, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SURROGATE = st.characters(categories=["Cs"])
TEXT = st.text(st.characters() | SURROGATE, max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn, whole: Any) -> Any:
    """A document in which one place, at any depth, holds something else, or nothing."""
    if isinstance(whole, dict) and whole and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(whole)))
        if draw(st.integers(0, 4)) == 0:
            return {key: value for key, value in whole.items() if key != name}
        return {**whole, name: draw(mutated(whole[name]))}
    if isinstance(whole, list) and whole and draw(st.booleans()):
        return [draw(mutated(whole[0])), *whole[1:]]
    return draw(JSON | TIMES | NUMBERS)


TIMES = st.sampled_from(
    [
        *(
            "2026-W48-2T00:00:00Z",
            "2026-11-24 00:00:00+23:59",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            "20261124T000000Z",
        ),
        *("2026-11-24T00:00:00+00:00:00.000001", "2026-11-24\x0000:00:00Z", "2026-11-24T24:00:00Z", "10000-01-01T00:00:00Z", "infinity"),
    ]
) | st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat())
NUMBERS = st.sampled_from([0, -1, 10**400, 2**63, 2**63 - 1, 1e308, float("nan"), float("inf"), -0.0, 50 * 1024**4, 50 * 1024**4 + 1])


def damaged(data: bytes, draw: st.DrawFn) -> bytes:
    """Some bytes of it cut out, and others put in their place."""
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 40)))
    return data[:start] + draw(st.binary(max_size=8)) + data[end:]


@st.composite
def damages(draw: st.DrawFn, data: bytes) -> bytes:
    return damaged(data, draw)


def outcome(read: Callable[[], Result], refusal: type[Refusal]) -> tuple[Result | None, Refusal | None]:
    """A result, or the stated error; any other exception surfaces."""
    try:
        return read(), None
    except refusal as error:
        return None, error


# Events


def read_event(text: str) -> None:
    found, error = outcome(lambda: parse(text, BUCKET), InvalidEventError)
    for created in found if isinstance(found, list) else []:
        check_created(created)
    said = found.reason if isinstance(found, Ignored) else str(error or "")
    assert printable(said) == said


def check_created(created: Created) -> None:
    """Whoever comes after takes it: the payload, the ledger's columns and its primary key."""
    file = FileRef(**{name: getattr(created, name) for name in Created.__slots__}, received_at="", message_id="")
    assert FileRef.read(json.loads(json.dumps(file.dump()))) == file
    assert len(file.file_id) == 24
    texts = (created.key, created.version_id, created.etag, created.sequencer)
    assert all("\0" not in text and text.encode() is not None for text in texts)
    assert len(created.key.encode()) <= 1024
    assert len(created.version_id.encode()) <= 1024 + len("etag:")
    assert 0 <= created.size < 2**63
    assert created.event_time.endswith("Z")
    assert created.event_time[:4].isdigit()


EVENTS = mutated(eventbridge()) | mutated(native(native_record(), native_record()))


@FUZZ
@given(EVENTS)
def test_an_event_is_understood_ignored_or_invalid(event: Any) -> None:
    read_event(json.dumps(event))


@FUZZ
@given(damages(json.dumps(eventbridge()).encode()))
@example(b"\xef\xbb\xbf{}")
def test_a_damaged_event_too(data: bytes) -> None:
    read_event(data.decode("utf-8", "replace"))


@FUZZ
@given(TIMES)
def test_a_time_is_one_that_postgresql_reads_or_invalid(time: str) -> None:
    read_event(json.dumps({**eventbridge(), "time": time}))


# Manifests

GENUINE = {
    "v": 1,
    "sender": "acme@example.com",
    "bucket": "b",
    "key": "incoming/orders/a.csv.gz.age",
    "size": 10,
    "sha256": "0" * 64,
    "seq": 7,
    "created_at": "2026-11-12T08:59:00+09:00",
    "rows": 1,
    "group": "g",
    "part": 1,
    "parts": 2,
}


def read_manifest(text: bytes) -> None:
    said, error = outcome(lambda: Manifest.read(text), Rejected)
    if said is not None:
        check_manifest(said)
    if error is not None:
        assert error.error_code == ErrorCode.MANIFEST_INVALID
        assert len(error.message) < 300


def check_manifest(said: Manifest) -> None:
    """What the ledger takes."""
    for text in (said.sender, said.bucket, said.group or ""):
        assert "\0" not in text
        text.encode()
    offset = said.created_at.utcoffset()
    assert offset is not None
    assert abs(offset.total_seconds()) < 16 * 3600
    assert all(number is None or 0 <= number < 2**63 for number in (said.seq, said.rows, said.part, said.parts))


@FUZZ
@given(mutated(GENUINE))
def test_a_manifest_is_read_or_invalid(said: Any) -> None:
    read_manifest(json.dumps(said).encode())


@FUZZ
@given(TIMES | NUMBERS)
def test_a_manifests_time_is_one_that_postgresql_reads_or_invalid(time: Any) -> None:
    read_manifest(json.dumps({**GENUINE, "created_at": time}).encode())


@FUZZ
@given(damages(json.dumps(GENUINE).encode()) | st.binary(max_size=60))
@example(b"[" * 3000)
@example(b"\xff\xfe")
def test_a_damaged_manifest_too(text: bytes) -> None:
    read_manifest(text)


@FUZZ
@given(TEXT | st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()))
def test_metadata_is_unpacked_or_invalid(text: str) -> None:
    _, error = outcome(lambda: unpacked(text, "manifest"), Rejected)
    assert error is None or error.error_code == ErrorCode.MANIFEST_INVALID


# CSV

ENCODINGS = ["utf-8", "ascii", "utf-16", "utf-16-le", "utf-16-be", "cp932", "euc_jp", "gb18030", "big5", "latin-1"]
TOKENS = st.sampled_from(
    [
        *(b"a", b"id,v", b",", b"|", b'"', b'""', b'"a"', b"'", b"\\", b"\\.", b"\n", b"\r", b"\r\n", b"\0", b" "),
        *(
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"\xfe\xff",
            b"\x00\xd8",
            b"\xd8\x00",
            b"\xed\xa0\x80",
            b"\xc0\xaf",
            b"\xe5\xba",
            b"\x8d",
            b"\x81\x30",
        ),
        *("座".encode(), "座".encode("cp932"), "座".encode("utf-16-le"), b"\n\0", b"\0\n", b"\r\0", b",\0", b"\x1a"),
    ]
)
CSV = st.lists(TOKENS | st.binary(max_size=3), max_size=25).map(b"".join)
OPTIONS = st.fixed_dictionaries(
    {
        "encoding": st.sampled_from(ENCODINGS),
        "delimiter": st.sampled_from([",", "|", "\t"]),
        "quote": st.sampled_from(['"', "'"]),
        "escape": st.sampled_from(["", "\\"]),
        "null": st.sampled_from([[""], ["", "NULL", "-"]]),
    }
)
OF_A_CSV = {ErrorCode.CSV_MALFORMED, ErrorCode.ENCODING_INVALID, ErrorCode.TOO_LARGE, ErrorCode.TOO_MANY_REJECTED_ROWS}


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    yield from (data[a:b] for a, b in pairwise(edges))


PLAIN_UTF16 = {"encoding": "utf-16", "delimiter": ",", "quote": '"', "escape": "", "null": [""]}


@FUZZ
@given(CSV, st.lists(st.integers(0, 200), max_size=8), OPTIONS, st.booleans())
@example(data=b"\x00aa\xdc", cuts=[1], options=PLAIN_UTF16, end_marker=False)
def test_a_csv_passes_or_is_rejected(data: bytes, cuts: list[int], options: dict[str, Any], end_marker: bool) -> None:
    dialect = Dialect.of(Dataset.model_validate({"name": "x", **options}))
    found, error = outcome(lambda: read_csv(pieces(data, cuts), dialect, end_marker=end_marker), Rejected)
    if found is not None:
        counted, first, lines, wrong = found
        assert counted <= lines + 1
        assert all(first <= line <= first + lines for line in wrong)
    if error is not None:
        assert error.error_code in OF_A_CSV
        assert printable(error.message) == error.message


def read_csv(chunks: Iterator[bytes], dialect: Dialect, *, end_marker: bool) -> tuple[int, int, int, list[int]]:
    """Records, the first one's line, line ends behind it, and lines of wrong records."""
    head, rest = header.split(front.recoded(chunks, dialect), dialect)
    checks = Front(dialect, head.lines + 1, end_marker=end_marker, max_record=100)
    sieve = Sieve(dialect, len(head.names), head.lines + 1)
    whole = list(records.with_nulls(records.whole(checks.passed(rest), dialect), dialect))
    list(sieve.numbered(iter(whole)))
    return checks.records, head.lines + 1, front.lines_in(b"".join(whole)), [wrong.line for wrong in sieve.wrong]


# Keys


@pytest.fixture(scope="module")
def ssh_key(keys: dict[str, Path]) -> bytes:
    return keys["acme"].read_bytes()


def read_keys(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    found, error = outcome(lambda: key_file.read(path), IdentityFileError)
    assert found is None or found.keys
    if error is not None:
        check_error(error, data)


def check_error(error: IdentityFileError, data: bytes) -> None:
    """Nothing of the file is in it, nor in what it came from."""
    said = str(error)
    assert printable(said) == said
    shown: BaseException | None = error
    while shown is not None and not shown.__suppress_context__:
        shown = shown.__cause__ or shown.__context__
        assert shown is None or not isinstance(shown, UnicodeError), "it holds the file"
    for secret in (data[at : at + 12].decode("latin-1") for at in range(0, max(len(data) - 12, 0), 12)):
        assert secret.strip() == "" or secret in KNOWN or secret not in said


KNOWN = "AGE-SECRET-KEY-1 -----BEGIN OPENSSH PRIVATE KEY----- ssh-ed25519"


@FUZZ
@given(data=st.data())
def test_a_damaged_ssh_key_is_read_or_refused_and_never_quoted(ssh_key: bytes, tmp_path: Path, data: st.DataObject) -> None:
    begin, *body, end = ssh_key.strip().split(b"\n")
    inside = data.draw(damages(base64.b64decode(b"".join(body))))
    packed = b"\n".join([begin, base64.b64encode(inside), end, b""])
    read_keys(tmp_path / "key", data.draw(st.just(packed) | damages(ssh_key)))


@FUZZ
@given(kind=st.binary(max_size=60) | st.text(max_size=60).map(str.encode), rest=st.binary(max_size=60))
@example(kind=b"what is the key itself", rest=b"")
@example(kind=b"ecdsa-sha2-nistp521", rest=b"")
def test_an_ssh_key_of_any_kind_too(tmp_path: Path, kind: bytes, rest: bytes) -> None:
    """A damaged length makes any piece of the file its kind."""

    def text(data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + data

    inside = b"openssh-key-v1\0" + text(b"none") * 2 + text(b"") + (1).to_bytes(4, "big") + text(text(kind) + rest)
    packed = base64.b64encode(inside).decode()
    path = tmp_path / "key"
    path.write_text(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{packed}\n-----END OPENSSH PRIVATE KEY-----\n")
    _, error = outcome(lambda: key_file.read(path), IdentityFileError)
    assert error is None or kind in KINDS or len(kind) < 4 or kind.decode("ascii", "replace") not in str(error)


KINDS = {key_file.ED25519, *key_file.OTHER_KINDS}


@FUZZ
@given(data=st.data())
def test_damaged_age_identities_too(tmp_path: Path, data: st.DataObject) -> None:
    read_keys(tmp_path / "key", data.draw(damages(IDENTITIES) | st.binary(max_size=80)))


IDENTITIES = f"# created: 2026-11-12\n{pyrage.x25519.Identity.generate()}\n".encode()
