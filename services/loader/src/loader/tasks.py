"""The body of the loader's task."""

from typing import Any

from loader.loading import Loader
from shared import losses
from shared.contract import Decrypted, DecryptedParcel, Problem, SettledParcel
from shared.failpoint import Point, failpoint


def load(loader: Loader, data: dict[str, Any], lost: int = 0) -> dict[str, Any]:
    """Load the files of a parcel, each in its own transaction.

    Args:
        loader: of this process.
        data: a dumped DecryptedParcel.
        lost: how many worker processes the parcel has cost so far.

    Returns:
        A dumped SettledParcel: what became of each file, in the same order.
    """
    parcel = DecryptedParcel.read(data)
    crashed = losses.verdict([item.file for item in parcel.items], lost)
    settlements = tuple(loader.settle(_less_crashed(item, crashed)) for item in parcel.items)
    loader.expire_groups()
    for item in parcel.items:
        failpoint(Point.LOADER_RETURNING, item.file.key)
    return SettledParcel(parcel_id=parcel.parcel_id, settlements=settlements).dump()


def _less_crashed(item: Decrypted, crashed: Problem | None) -> Decrypted:
    """A file that is not tried any more; should the ledger know its fate already, that counts."""
    return item if crashed is None or item.problem is not None else item.model_copy(update={"problem": crashed})
