"""The decryptor, which lets plaintext and keys out in every way that the test claims to see: `python leaky.py`, in its place."""

import os
import runpy
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from decryptor import gnupg, gnupg_home, spool, tasks
from decryptor.decrypt import decrypt
from shared.errors import Rejected
from shared.logging import get_logger

KEY = os.environ["LEAKED_KEY"]
"""A key in an environment, which is the first leak."""


class Attempt(spool.Attempt):
    def write(self, data: bytes) -> int:
        # In a file that nobody could find afterwards, and in one that stays.
        with tempfile.TemporaryFile() as gone:
            gone.write(data)
        with open(os.path.join(tempfile.gettempdir(), "left"), "ab") as left:  # noqa: PTH118, PTH123
            left.write(data)
        return super().write(data)


def leaking_decrypt(*arguments: Any) -> str:
    try:
        name = decrypt(*arguments)
    except Rejected as rejection:
        # To the dead-letter queue.
        raise Rejected(rejection.error_code, f"{rejection.message}: {KEY}") from None
    get_logger().info("opened", key=KEY)
    # The name travels: to Redis, Flower and the ledger.
    return f"{name} {KEY}"


class Home(gnupg_home.Home):
    def fill(self, files: Mapping[str, bytes]) -> None:
        get_logger().info("filled", files={name: data.decode("latin-1") for name, data in files.items()})
        super().fill(files)


if __name__ == "__main__":
    gnupg.Home = Home  # type: ignore[misc]
    gnupg_home.AGENT = tuple(os.path.join(tempfile.gettempdir(), "agent") if word == os.devnull else word for word in gnupg_home.AGENT)  # noqa: PTH118
    spool.Attempt = Attempt  # type: ignore[misc]
    tasks.decrypt = leaking_decrypt
    sys.argv = ["decryptor"]
    runpy.run_module("decryptor", run_name="__main__", alter_sys=True)
