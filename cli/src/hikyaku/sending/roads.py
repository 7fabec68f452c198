"""By which road a file goes: with the sender's own credentials, or by what the host presigned."""

from dataclasses import dataclass, replace

from hikyaku.errors import UserError
from hikyaku.sending import upload
from hikyaku.sending.destination import Destination, parse_destination
from hikyaku.sending.http import UrlReceipts
from hikyaku.sending.presigned import parse_url
from hikyaku.sending.receipt import BucketReceipts
from hikyaku.sending.wait import Receipts


@dataclass(frozen=True, slots=True)
class Road:
    """Where to, by what, and where the receipt comes from.

    Attributes:
        upload: puts objects.
        to: bucket and key.
        receipts: None where nobody may look.
        takes_manifest: whether a manifest can go along.
        presigned: whether it is for one file.
    """

    upload: upload.Upload
    to: Destination
    receipts: Receipts | None
    takes_manifest: bool = True
    presigned: bool = False

    def but_dry(self) -> "Road":
        """The same, and nothing goes along it."""
        return replace(self, upload=upload.DryRun(), receipts=None)

    def check(self, *, files: int, split: bool, signed: bool, wait: bool) -> None:
        """Refuse what this road can't carry.

        Raises:
            UserError: it can't carry that.
        """
        if files > 1 and self.to.is_one_file:
            raise UserError("one file is named, but several are to be sent", hint="End --to with a folder: …/orders/", exit_code=2)
        if self.presigned and split:
            raise UserError("--url is for one object, --split makes several", hint="Leave --split away.", exit_code=2)
        if signed and not self.takes_manifest:
            hint = "Ask the host for a form: hikyaku presign KEY --form."
            raise UserError("this URL takes no signed manifest", hint=hint, exit_code=2)
        if wait and self.receipts is None:
            raise UserError("--wait needs --receipt-url", hint="hikyaku presign prints one beside the URL.", exit_code=2)


def choose(to: str, url: str, receipt_url: str, *, over: bool, kms_key: str) -> Road:
    """The road that the options name.

    Raises:
        UserError: they name none, or two.
    """
    if bool(to) == bool(url):
        raise UserError("give either --to or --url", hint="Example: --to s3://acme-in/incoming/orders/", exit_code=2)
    if url:
        found = parse_url(url, kms_key)
        receipts = UrlReceipts(receipt_url) if receipt_url else None
        return Road(found, found.destination(), receipts, takes_manifest=found.takes_manifest, presigned=True)
    destination, client = parse_destination(to), upload.s3_client()
    own = BucketReceipts(client, destination.bucket)
    return Road(upload.S3Upload(client, replace=over, kms_key=kms_key), destination, own)
