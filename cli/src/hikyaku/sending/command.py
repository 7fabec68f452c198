"""`hikyaku send`: the sender's one command."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from hikyaku import gpg
from hikyaku.errors import UserError
from hikyaku.manifest import Voucher
from hikyaku.operator.output import cell, console, json_line, note
from hikyaku.printable import printable
from hikyaku.sending import options, roads, sealer, upload
from hikyaku.sending.courier import Courier, Sent
from hikyaku.sending.memory import Memory
from hikyaku.sending.progress import progress_bars
from hikyaku.sending.receipt import Receipt
from hikyaku.sending.wait import Waiting, refusal, story
from hikyaku.sequence import Sequence
from hikyaku.sign import default_sender
from hikyaku.split import Splitting

HARMLESS = "The host loads it once, unless the dataset says otherwise."


def send(
    files: options.Files,
    to: options.To = "",
    recipient: options.Recipients = None,
    recipients_file: options.RecipientsFiles = None,
    *,
    gpg_to: options.GpgTo = "",
    gpg_sign: options.GpgSign = "",
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
    url: options.Url = "",
    receipt_url: options.ReceiptUrl = "",
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Encrypt CSV files and put them in S3.

    Example: hikyaku send 2026-11.csv --to s3://acme-in/incoming/orders/ -r age1… --sign ~/.ssh/acme --wait

    Example: psql -c 'COPY orders TO STDOUT CSV HEADER' | hikyaku send - --to s3://acme-in/incoming/orders/2026-11.csv.gz.age -r age1…
    """
    pgp = gpg.chosen(gpg_to, gpg_sign, age=bool(recipient or recipients_file), parts_unsigned=size is not None and sign is None)
    sealing = sealer.chosen(recipient or [], recipients_file or [], pgp)
    options.refuse_encrypted(files)
    road = roads.choose(to, url, receipt_url, over=not no_replace, kms_key=sse_kms_key)
    road = road.but_dry() if dry_run else road
    options.refuse_other_suffix(road.to, sealing.suffix)
    options.refuse_nameless(files, road.to, sealing.suffix)
    road.check(files=len(files), split=size is not None, signed=sign is not None, wait=wait and not dry_run)
    how = options.splitting(size, no_header=no_header, group=group, files=files)
    voucher = Voucher(options.named(sender) or default_sender(sign), sign, Sequence(told=seq, keep=not dry_run))
    waiting = Waiting(road.receipts, timeout, receipt_signer) if wait and road.receipts else None
    with progress_bars(Console(stderr=True)) as progress:
        courier = Courier(road.upload, road.to, sealing, progress, voucher if road.takes_manifest else None, Memory(keep=not dry_run))
        sent = _send_all(files, courier, how, _Teller(as_json=as_json, dry=dry_run))
    if waiting is not None:
        _await_all(sent, waiting, road.to.bucket, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Teller:
    """Says what was sent, or would be."""

    as_json: bool
    dry: bool

    def tell(self, sent: Sent, bucket: str) -> None:
        if self.as_json:
            json_line({"status": "dry-run" if self.dry else "sent", **_facts(sent, bucket)})
            return
        what = "dry run, nothing sent:" if self.dry else "sent"
        console().print(f"{what} {printable(sent.name)} to s3://{bucket}/{printable(sent.key)} ({sent.sealed.size:,} bytes)")
        if sent.before is not None:
            note(f"  The same content went to this dataset at {cell(sent.before.at)}, as {sent.before.key}. {HARMLESS}")


def _send_all(files: list[Path], courier: Courier, how: Splitting | None, teller: _Teller) -> list[tuple[list[Sent], datetime]]:
    done = []
    for file in files:
        parts = []
        for sent in _each(file, courier, how):
            teller.tell(sent, courier.to.bucket)
            parts.append(sent)
        done.append((parts, datetime.now(UTC)))
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


def _facts(sent: Sent, bucket: str) -> dict[str, Any]:
    told = {"file": sent.name, "bucket": bucket, "key": sent.key, "version_id": sent.version_id}
    before = sent.before.at if sent.before else None
    return told | {"size": sent.sealed.size, "sha256": sent.sealed.sha256, "same_content_sent_at": before}


def _await_all(sent: list[tuple[list[Sent], datetime]], waiting: Waiting, bucket: str, *, as_json: bool) -> None:
    refused, unknown = [], []
    for parts, at in sent:
        name = parts[0].name
        try:
            found = waiting.for_file(parts, bucket)
        except UserError as error:
            unknown.append(error)
            continue
        _tell_fate(found, name, at, as_json=as_json)
        refused.append(refusal(found, name))
    # All were told of; the gravest ends the command, and says what it is.
    if errors := [error for error in (*unknown, *refused) if error is not None]:
        gravest = max(errors, key=lambda error: error.exit_code)
        for other in unknown:
            if other is not gravest:
                note(*other.lines())
        raise gravest


def _tell_fate(found: Receipt, name: str, at: datetime, *, as_json: bool) -> None:
    if as_json:
        json_line({"file": name, **found.model_dump(mode="json")})
    else:
        console().print(story(found, printable(name), at))
