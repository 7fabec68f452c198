"""Objects that should have got a tag when their files were loaded (`after_load`), and have none."""

import json
from collections.abc import Iterator

from chaos.files import DATASETS
from chaos.stack import Stack


def untagged(stack: Stack) -> frozenset[tuple[str, str]]:
    """Key and version of the objects without a tag, in the folders whose loaded files are to have one; but for those given up."""
    given_up = set(_given_up(stack))
    return frozenset(found for found in _untagged(stack) if found[0] not in given_up)


def _untagged(stack: Stack) -> Iterator[tuple[str, str]]:
    s3, bucket = stack.client("s3"), stack.endpoints["HIKYAKU_BUCKET"]
    for dataset in (each for each in DATASETS if each.tagged):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=f"incoming/{dataset.name}/"):
            for version in page.get("Versions", []):
                name = {"Key": version["Key"], "VersionId": version["VersionId"]}
                if not s3.get_object_tagging(Bucket=bucket, **name)["TagSet"]:
                    yield version["Key"], version["VersionId"]


def _given_up(stack: Stack) -> Iterator[str]:
    """Keys of the objects of which a poller has said that it leaves them as they are: no harm to the rows, and told."""
    for path in (stack.folder / "logs").glob("poller*.log*"):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if '"event": "left_in_s3"' in line:
                yield json.loads(line)["key"]
