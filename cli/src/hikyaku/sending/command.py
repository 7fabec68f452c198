"""`hikyaku send`: the sender's one command."""

from collections.abc import Iterable

from rich.console import Console

from hikyaku.errors import UserError
from hikyaku.manifest import Voucher
from hikyaku.sending import options, sealer, upload
from hikyaku.sending.courier import Courier, Sent
from hikyaku.sending.destination import Destination, parse_destination
from hikyaku.sending.progress import progress_bars
from hikyaku.sequence import Sequence
from hikyaku.sign import default_sender


def send(
    files: options.Files,
    to: options.To,
    recipient: options.Recipients = None,
    recipients_file: options.RecipientsFiles = None,
    *,
    sign: options.SigningKey = None,
    sender: options.Sender = "",
    seq: options.Seq = None,
    size: options.Split = None,
    no_header: options.NoHeader = False,
    group: options.Group = "",
) -> None:
    """Encrypt CSV files and put them in S3.

    Example: hikyaku send 2026-11.csv --to s3://acme-in/incoming/orders/ -r age1… --sign ~/.ssh/acme
    """
    sealing = sealer.age(recipient or [], recipients_file or [])
    options.refuse_encrypted(files)
    destination = _for_all(files, parse_destination(to))
    how = options.splitting(size, no_header=no_header, group=group, files=len(files))
    voucher = Voucher(options.named(sender) or default_sender(sign), sign, Sequence(told=seq))
    console = Console(markup=False, highlight=False, soft_wrap=True)
    with progress_bars(Console(stderr=True)) as progress:
        courier = Courier(upload.S3Upload(upload.s3_client()), destination, sealing, progress, voucher)
        for file in files:
            every: Iterable[Sent] = [courier.send(file)] if how is None else courier.send_parts(file, how)
            for sent in every:
                console.print(f"sent {sent.name} to s3://{destination.bucket}/{sent.key} ({sent.sealed.size:,} bytes)")


def _for_all(files: options.Files, destination: Destination) -> Destination:
    if len(files) > 1 and destination.is_one_file:
        raise UserError("--to names one file, but several are to be sent", hint="End --to with a folder: …/orders/", exit_code=2)
    return destination
