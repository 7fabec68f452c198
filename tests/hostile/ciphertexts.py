"""What is no age file, or no sound one: the age project's vectors, a small file of ours, cut and altered; and what a sound one may hold."""

import gzip
from random import Random

from line import encrypt, gzipped

from hostile.case import LOADED, Case
from unit.test_decryptor_decrypt import VECTORS, expected, read_vector

HYBRID = {"hybrid_and_x25519": "gzip_invalid", "hybrid_not_canonical_body": "age_header_invalid", "hybrid_x25519_arg": "age_header_invalid"}
"""A post-quantum stanza is one that nobody here knows; what stands beside it is judged."""
CSV = b"id,v,note\n-1,a,b\n"
MIB = 1024**2
CUTS, FLIPS = 12, 12


def identities() -> set[str]:
    """Private keys that the vectors are for."""
    return {identity for path in VECTORS for identity in read_vector(path).identities}


def vectors(dataset: str) -> list[Case]:
    """All of them; those that age opens hold no gzip."""
    found = []
    for path in VECTORS:
        vector = read_vector(path)
        codes = {HYBRID.get(path.name, "no_matching_identity")} if path.name.startswith("hybrid") else expected(path.name, vector)
        [code] = codes or {"gzip_invalid"}
        key = f"incoming/{dataset}/age-{path.name}.csv.gz.age"
        found.append(Case(name=path.name, expected=str(code), key=key, content=vector.data))
    return found


def damaged(dataset: str, recipient: str, random: Random) -> list[Case]:
    """A good file, cut and altered at places of every kind."""
    sound = encrypt(gzipped(CSV), recipient)
    mac = sound.index(b"\n--- ") + 1
    nonce = sound.index(b"\n", mac) + 1
    body = sound.index(b"\n", sound.index(b"-> X25519 ")) + 1
    cuts = [random.randrange(1, nonce + 16) for _ in range(CUTS // 2)]
    cuts += [random.randrange(nonce + 17, len(sound)) for _ in range(CUTS // 2)]
    found = [(f"cut at {at}", "age_header_invalid" if at < nonce + 16 else "ciphertext_corrupt", sound[:at]) for at in cuts]
    flips = [random.randrange(len("age-encryption.org/v1")) for _ in range(FLIPS // 3)]
    flips += [random.randrange(mac + 4, nonce - 2) for _ in range(FLIPS // 3)]
    found += [(f"altered at {at}", "age_header_invalid", _altered(sound, at)) for at in flips]
    flips = [random.randrange(nonce, len(sound)) for _ in range(FLIPS // 3)]
    found += [(f"altered at {at}", "ciphertext_corrupt", _altered(sound, at)) for at in flips]
    found += [
        ("wrapped key altered", "no_matching_identity", _altered(sound, body + 3)),
        ("empty object", "age_header_invalid", b""),
        ("plain csv", "age_header_invalid", CSV),
        ("plain gzip", "age_header_invalid", gzipped(CSV)),
        ("zeros", "age_header_invalid", bytes(MIB)),
        ("something behind", "ciphertext_corrupt", sound + b"\0"),
        ("twice", "ciphertext_corrupt", sound * 2),
        ("header without end", "age_header_invalid", b"age-encryption.org/v1\n" + b"-> X25519 " + b"A" * MIB),
        ("a thousand recipients", "age_header_invalid", sound[: sound.index(b"->")] + b"-> x y\n\n" * 1000 + sound[mac:]),
        ("recipients by the dozen", "age_header_invalid", sound[: sound.index(b"->")] + b"-> x y\n\n" * 30 + sound[mac:]),
    ]
    return [
        Case(name=name, expected=code, key=f"incoming/{dataset}/damaged-{number}.csv.gz.age", content=data)
        for number, (name, code, data) in enumerate(found)
    ]


def _altered(data: bytes, at: int) -> bytes:
    """One byte changed into another letter of base64, so that a header stays well formed where it can."""
    changed = bytearray(data)
    changed[at] = ord("B") if data[at] != ord("B") else ord("C")
    return bytes(changed)


def bombs(dataset: str, recipient: str) -> list[Case]:
    """Sound files that would be too much."""
    head = b"id,v,note\n"
    found = {
        "gzip bomb of 1,000 to 1": ("too_large", gzip.compress(bytes(64 * MIB))),
        "bomb behind a good header": ("too_large", gzip.compress(head + b"-1,a,b\n" * 9 * MIB)),
        "bomb of bombs": ("too_large", gzip.compress(head) + gzip.compress(bytes(32 * MIB)) * 2),
        "100,000 members with nothing in them": (LOADED, gzip.compress(head) + gzip.compress(b"") * 100_000),
        "more than max_bytes": ("too_large", gzipped(head + _rows(2 * MIB))),
    }
    return [
        Case(name=name, expected=code, key=f"incoming/{dataset}/bomb-{number}.csv.gz.age", content=encrypt(data, recipient))
        for number, (name, (code, data)) in enumerate(found.items())
    ]


def _rows(size: int) -> bytes:
    """Rows that can't be packed well."""
    random = Random(size)
    return b"".join(b"-%d,%d,%d\n" % (n, random.getrandbits(500), random.getrandbits(500)) for n in range(1, size // 300))
