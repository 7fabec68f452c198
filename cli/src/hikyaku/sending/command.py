"""`hikyaku send`: the sender's one command."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from hikyaku.errors import UserError
from hikyaku.manifest import Voucher
from hikyaku.operator.output import console, json_line, printable
from hikyaku.sending import options, sealer, upload
from hikyaku.sending.courier import Courier, Sent
from hikyaku.sending.destination import Destination, parse_destination
from hikyaku.sending.progress import progress_bars
from hikyaku.sending.receipt import BucketReceipts, Receipt
from hikyaku.sending.wait import Waiting, refusal, story
from hikyaku.sequence import Sequence
from hikyaku.sign import default_sender
from hikyaku.split import Splitting


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
    wait: options.Wait = False,
    timeout: options.Timeout = 300,
    receipt_signer: options.ReceiptSigner = None,
    sse_kms_key: options.KmsKey = "",
    no_replace: options.NoReplace = False,
    as_json: options.AsJson = False,
) -> None:
    """Encrypt CSV files and put them in S3.

    Example: hikyaku send 2026-11.csv --to s3://acme-in/incoming/orders/ -r age1… --sign ~/.ssh/acme --wait
    """
    sealing = sealer.age(recipient or [], recipients_file or [])
    options.refuse_encrypted(files)
    destination = _for_all(files, parse_destination(to))
    how = options.splitting(size, no_header=no_header, group=group, files=len(files))
    voucher = Voucher(options.named(sender) or default_sender(sign), sign, Sequence(told=seq))
    client = upload.s3_client()
    uploading = upload.S3Upload(client, replace=not no_replace, kms_key=sse_kms_key)
    waiting = Waiting(BucketReceipts(client, destination.bucket), timeout, receipt_signer) if wait else None
    with progress_bars(Console(stderr=True)) as progress:
        sent = _send_all(files, Courier(uploading, destination, sealing, progress, voucher), how, as_json=as_json)
    if waiting is not None:
        _await_all(sent, waiting, destination.bucket, as_json=as_json)


def _for_all(files: list[Path], destination: Destination) -> Destination:
    if len(files) > 1 and destination.is_one_file:
        raise UserError("--to names one file, but several are to be sent", hint="End --to with a folder: …/orders/", exit_code=2)
    return destination


def _send_all(files: list[Path], courier: Courier, how: Splitting | None, *, as_json: bool) -> list[tuple[Sent, datetime]]:
    done = []
    for file in files:
        for sent in _each(file, courier, how):
            _tell(sent, courier.to.bucket, as_json=as_json)
            done.append((sent, datetime.now(UTC)))
    return done


def _each(file: Path, courier: Courier, how: Splitting | None) -> Iterator[Sent]:
    try:
        if how is None:
            yield courier.send(file)
        else:
            yield from courier.send_parts(file, how)
    except upload.AlreadyThereError as there:
        what = f"s3://{courier.to.bucket}/{there} is there already; nothing was sent."
        raise UserError(what, hint="Without --no-replace, it is sent as a new version.") from None


def _tell(sent: Sent, bucket: str, *, as_json: bool) -> None:
    if as_json:
        json_line({"status": "sent", **_facts(sent, bucket)})
    else:
        console().print(f"sent {printable(sent.name)} to s3://{bucket}/{printable(sent.key)} ({sent.sealed.size:,} bytes)")


def _facts(sent: Sent, bucket: str) -> dict[str, Any]:
    told = {"file": sent.name, "bucket": bucket, "key": sent.key, "version_id": sent.version_id}
    return told | {"size": sent.sealed.size, "sha256": sent.sealed.sha256}


def _await_all(sent: list[tuple[Sent, datetime]], waiting: Waiting, bucket: str, *, as_json: bool) -> None:
    refused = []
    for one, at in sent:
        found = waiting.for_file(one, bucket)
        _tell_fate(found, one, at, as_json=as_json)
        refused.append(refusal(found, one.name))
    # All were told of; the gravest ends the command.
    if errors := [error for error in refused if error is not None]:
        raise max(errors, key=lambda error: error.exit_code)


def _tell_fate(found: Receipt, sent: Sent, at: datetime, *, as_json: bool) -> None:
    if as_json:
        json_line({"file": sent.name, **found.model_dump(mode="json")})
    else:
        console().print(story(found, printable(sent.name), at))
