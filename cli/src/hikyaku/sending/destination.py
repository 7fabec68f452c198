"""Where files go: a bucket and a place below incoming/."""

import re
from dataclasses import dataclass

from hikyaku.errors import UserError

FORM = re.compile(r"^s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>incoming/.*)$", re.DOTALL)
SUFFIXES = (".csv.gz.age", ".csv.gz.gpg")
"""Of the keys that the receiver takes."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Bucket and key prefix; the prefix ends with `/` unless it names one file."""

    bucket: str
    prefix: str

    @property
    def is_one_file(self) -> bool:
        """Whether it names a file, not a folder."""
        return self.prefix.endswith(SUFFIXES)

    def key(self, name: str, suffix: str = SUFFIXES[0]) -> str:
        """Key for a local file: its name, plus the suffixes that say what was done to it.

        Args:
            name: of the CSV, or of the `.csv.gz`.
            suffix: what the sealed file ends with.
        """
        if self.is_one_file:
            return self.prefix
        for packed in (".gz", ".csv"):
            name = name.removesuffix(packed)
        return f"{self.prefix.rstrip('/')}/{name}{suffix}"


def parse_destination(text: str) -> Destination:
    """Read `s3://bucket/incoming/<dataset>/`.

    Raises:
        UserError: it is not of that form.
    """
    match = FORM.match(text)
    if match is None or not match["prefix"].removeprefix("incoming/").strip("/"):
        raise UserError(f"--to {text}: not s3://BUCKET/incoming/DATASET/", hint="Example: --to s3://acme-in/incoming/orders/", exit_code=2)
    return Destination(match["bucket"], match["prefix"])
