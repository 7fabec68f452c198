"""A stack whose services are watched, files that go through it, and what is looked for in everything that it wrote, said or showed."""

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import openpgp_keys
import pyrage
import witness
from line import Line, Put, encrypt, gzipped
from witness import Needle, Witness, findings

from fakes.gpg import People
from fakes.senders import ACME

SEED = 20261125
MARKER = f"hyoushiki-{random.Random(SEED).randbytes(12).hex()}"
ROWS = 8000
AGENT = "gpg-agent"
"""It is started first, and gpg by it."""
OF_THE_LIBRARIES = re.compile(r"pymp-\w+/pym-[\w-]+|[a-z0-9_]{8}")
"""In the folder for temporary files: memory that Celery's processes share (numbers), and how tempfile finds out that it may write there."""


def rows(first: int, marker: str = MARKER) -> str:
    """Long enough for several of age's chunks, also when it is compressed."""
    source = random.Random(first)
    return "".join(f"{first + n},{marker},{source.randbytes(12).hex()}\n" for n in range(ROWS))


def csv(first: int, *more: str) -> bytes:
    return ("id,item,noise\n" + rows(first) + "".join(f"{line}\n" for line in more)).encode()


class Scene:
    """A stack under watch.

    Args:
        line: the stack.
        spool: its spool.
        homes: where it makes homes for gpg.
        tmp: its folder for temporary files.
        people: who send OpenPGP files; None: nobody does.
    """

    def __init__(self, line: Line, *, spool: Path, homes: Path, tmp: Path, people: People | None) -> None:
        self.line, self.spool, self.homes, self.tmp, self.people = line, spool, homes, tmp, people
        keys = line.folder / "secrets" / "identities"
        if people:
            openpgp_keys.introduce(line.folder, people.host, {ACME: (people.acme,)})
        self.witness = Witness(line)
        self.witness.watch(*witness.SERVICES, environment={"PATH": self.witness.follow(AGENT) if people else os.environ["PATH"]})
        self.table = line.table("id int PRIMARY KEY, item text, noise text")
        self.tolerant = line.table("id int PRIMARY KEY, item text, noise text")
        returned = f'rejects = "return"\nrejects_recipient = "{pyrage.x25519.Identity.generate().to_public()}"'
        line.configure(f"[datasets.{self.tolerant}]\nmax_rejected_rows = 10\n{returned}\n")
        self.own_keys = [keys]
        self.key = next(row for row in (keys / "local.txt").read_text().splitlines() if row.startswith("AGE-SECRET-KEY-1"))
        self.sent: list[bytes] = []
        self.heard: list[bytes] = []

    def send(self, dataset: str, plain: bytes, *, recipient: str = "", damage: int = 0) -> Put:
        """A file whose packed form is looked for too: the spool's files are packed."""
        return self._put(dataset, "age", encrypt(self._packed(plain), recipient or self.line.world.recipient), damage)

    def send_by_gpg(self, people: People, dataset: str, plain: bytes, *, damage: int = 0) -> Put:
        """A file that gpg opens: from acme to the host."""
        return self._put(dataset, "gpg", people.seal(self._packed(plain)), damage)

    def _packed(self, plain: bytes) -> bytes:
        self.sent.append(gzipped(plain))
        return self.sent[-1]

    def _put(self, dataset: str, suffix: str, sealed: bytes, damage: int) -> Put:
        content = bytearray(sealed)
        if damage:
            content[damage] ^= 1
        return self.line.put(f"incoming/{dataset}/{random.Random(len(self.sent)).randbytes(6).hex()}.csv.gz.{suffix}", bytes(content))

    def needles(self) -> list[Needle]:
        packed = [Needle.of(f"packed {n}", each[at : at + 24]) for n, each in enumerate(self.sent) for at in (200, len(each) // 2)]
        return [Needle.of("plaintext", MARKER.encode()), *packed]

    def key_needles(self) -> list[Needle]:
        return [Needle.of("key", self.key.encode()), *self.openpgp_needles()]

    def openpgp_needles(self) -> list[Needle]:
        """The host's secret numbers, as such and as gpg writes them down, and its key as it stands in the keyring."""
        if self.people is None:
            return []
        numbers = openpgp_keys.secrets(self.people.host)
        found = {f"OpenPGP key {n}": number for n, number in enumerate(numbers)}
        found |= {f"OpenPGP key {n} in hex": number.hex().upper().encode() for n, number in enumerate(numbers)}
        return [Needle.of(name, secret) for name, secret in (found | {"armored": openpgp_keys.armored(self.people.host)}).items()]

    def places(self) -> Iterator[tuple[str, bytes]]:
        line = self.line
        yield from witness.files(line.folder, [line.folder / "postgres", *self.own_keys])
        yield from witness.files(self.tmp)
        yield from (("said to Redis", command) for command in self.heard)
        for look in (witness.redis, witness.processes, witness.flower, witness.dead_letters, witness.ledger):
            yield from look(line)
        for program in (*witness.SERVICES, AGENT):
            paths = [Path(path) for path in self.witness.opened(program)]
            yield from ((f"{program} wrote {path}", path.read_bytes()) for path in paths if path.is_file())

    def found(self) -> set[tuple[str, str]]:
        return findings(self.places(), [*self.needles(), *self.key_needles()])

    def strange(self, program: str) -> set[str]:
        """What a program that sees plaintext opened for writing, and had no business to."""
        own = {str(self.line.folder / "run" / f"{program}.health"), "/dev/null"}
        return {path for path in self.witness.opened(program) - own if not self._is_plain(path)}

    def _is_plain(self, path: str) -> bool:
        inside = path.removeprefix(f"{self.tmp}/")
        in_memory = path.startswith((f"{self.spool}/", f"{self.homes}/"))
        return in_memory or "/__pycache__/" in path or (inside != path and bool(OF_THE_LIBRARIES.fullmatch(inside)))
