"""The body of the loader's task."""

from typing import Any

from loader.loading import Loader
from shared.contract import DecryptedParcel, SettledParcel


def load(loader: Loader, data: dict[str, Any]) -> dict[str, Any]:
    """Load the files of a parcel, each in its own transaction.

    Args:
        loader: of this process.
        data: a dumped DecryptedParcel.

    Returns:
        A dumped SettledParcel: what became of each file, in the same order.
    """
    parcel = DecryptedParcel.read(data)
    settlements = tuple(loader.settle(item) for item in parcel.items)
    return SettledParcel(parcel_id=parcel.parcel_id, settlements=settlements).dump()
