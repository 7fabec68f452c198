"""Good files, of age and of OpenPGP: behind each batch one of both must load."""

import time

from line import Line, Put, gzipped

from hostile import seen, stage
from hostile.manifests import Desk
from hostile.openpgp import Post
from hostile.waiting import BOUND_S, within

WARM_UP = 60
"""Good files at once before the memory is looked at, so that every child of a worker has done each thing once."""


class Good:
    """Good files, no two alike.

    Args:
        line: that they go through.
        desk: who signs manifests.
        post: who sends OpenPGP files; None: nobody does.
    """

    def __init__(self, line: Line, desk: Desk, post: Post | None) -> None:
        self._line, self._desk, self._post = line, desk, post
        self._made = 0

    def sealed(self) -> bytes:
        """The next one, by age."""
        return self._line.seal(self._csv())

    def by_gpg(self, post: Post) -> bytes:
        """The next one, by gpg, and signed."""
        return post.people.seal(gzipped(self._csv()))

    def _csv(self) -> bytes:
        self._made += 1
        return b"id,v,note\n%d,good,x\n" % self._made

    def warm_up(self) -> None:
        """Let every child work: every other file is signed, every third one OpenPGP's."""
        for put in [self._first(number) for number in range(WARM_UP)]:
            assert self._line.fate(put)["status"] == "loaded", "a good file"

    def _first(self, number: int) -> Put:
        folder, name = (stage.DATASET, stage.SIGNED)[number % 2], f"warm-{number}"
        if self._post and number % 3 == 0:
            return self._line.put(f"incoming/{folder}/{name}.csv.gz.gpg", self.by_gpg(self._post))
        key, body = f"incoming/{folder}/{name}.csv.gz.age", self.sealed()
        return stage.put(self._line, key, body, self._desk.signed(key, body))

    def arrive(self, found: list[str]) -> float:
        """Send one of each, and look for their rows; seconds that it took."""
        began = time.monotonic()
        sent = [self._sent("age", self.sealed())]
        if self._post:
            sent.append(self._sent("gpg", self.by_gpg(self._post)))
        for put, number in sent:
            self._arrives(put, number, found)
        return time.monotonic() - began

    def _sent(self, suffix: str, body: bytes) -> tuple[Put, int]:
        return self._line.put(f"incoming/{stage.DATASET}/good-{self._made}.csv.gz.{suffix}", body), self._made

    def _arrives(self, put: Put, number: int, found: list[str]) -> None:
        line = self._line
        within(BOUND_S, lambda: put.version_id in seen.rows(line, [put.version_id]))
        status = (line.ledger(put) or {"status": "not seen"})["status"]
        if (status, line.sql(f"SELECT v FROM {stage.DATASET} WHERE id = %s", number)) != ("loaded", [{"v": "good"}]):
            found.append(f"good file {put.key}: {status} after {BOUND_S:.0f} s at the most")
