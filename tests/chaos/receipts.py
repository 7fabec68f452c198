"""The receipts of a run, held against the ledger: one for each key, of its newest version that has a fate."""

import json
from collections.abc import Container, Iterable, Iterator, Mapping

from chaos.stack import Stack

PREFIX = "receipts/"


def read(stack: Stack) -> dict[str, tuple[str, str]]:
    """Version id and status by the key of the object."""
    s3, bucket = stack.client("s3"), stack.endpoints["HIKYAKU_BUCKET"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    told = [json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]
    return {each["key"]: (each["version_id"], each["status"]) for each in told}


def left_out(stack: Stack) -> frozenset[str]:
    """Keys of which the poller has said that a receipt was given up."""
    lines = (line for path in (stack.folder / "logs").glob("poller.log*") for line in path.read_text("utf-8", "replace").splitlines())
    return frozenset(json.loads(line)["key"] for line in lines if '"event": "receipt_left_out"' in line)


def wrong(
    told: Mapping[str, tuple[str, str]], fates: Mapping[str, Iterable[tuple[str, str]]], groups: Mapping[str, str], untold: Container[str]
) -> Iterator[tuple[str, str]]:
    """What is not told as it is: key and story.

    Args:
        told: as `read`.
        fates: by key, version id and status of the versions that have a fate, the oldest first.
        groups: by key, the group of each part. Its message is settled before its group has its fate: one receipt of a loaded group says so.
        untold: as `left_out`.
    """
    ends = {key: newest[-1] for key, versions in fates.items() if (newest := list(versions)) and key not in untold}
    for key, (version, status) in ends.items():
        possible = {(version, status), (version, "staged")} if key in groups else {(version, status)}
        if told.get(key) not in possible:
            yield key, f"the receipt of {key} says {told.get(key)} instead of {(version, status)}"
    loaded = {groups[key] for key, (_, status) in ends.items() if key in groups and status == "loaded"}
    told_of = {name for key, name in groups.items() if key in untold or told.get(key, ("", ""))[1] == "loaded"}
    for name in loaded - told_of:
        yield name, f"{name} is loaded, and no receipt of its parts says so"
