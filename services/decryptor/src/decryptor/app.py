"""Wires the decryptor: one function builds everything from the settings."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from celery import Celery

from decryptor import download, receipt_key, receipts
from decryptor.caps import Caps
from decryptor.gnupg import Gnupg
from decryptor.key_file import IdentityFileError
from decryptor.keyring import Keyring
from decryptor.openpgp import OpenPgp
from decryptor.openpgp_senders import OpenPgpSenders
from decryptor.sender import Senders
from decryptor.settings import DecryptorSettings
from decryptor.signers import AllowedSigners, SignersError
from decryptor.sweeper import sweeper
from decryptor.tasks import Bench, decrypt_parcel
from decryptor.tidy import Desk, tidy_parcel
from shared import celery_app, parcel_task, spool_place
from shared.contract import FileRef, Parcel, QueueName, TaskName
from shared.datasets import DatasetsError, SignaturePolicy
from shared.datasets_file import DatasetsFile
from shared.logging import get_logger
from shared.settings import SpoolOnDisk, fail


def build_app(settings: DecryptorSettings) -> Celery:
    """The worker's Celery app; nothing connects yet. Exits with 2 when one of the files that it reads, or the spool, can't be used."""
    sign, unusable = _receipt_key(settings)
    bench = build_bench(settings, unusable)
    app = celery_app.build(QueueName.DECRYPT, settings, more=[str(QueueName.TIDY)], time_limit=settings.task_time_limit)
    app.steps["consumer"].add(sweeper(settings))
    parcel_task.add(app, TaskName.DECRYPT, partial(decrypt_parcel, bench), _files, settings)
    # However large its files are: their bytes are not touched.
    parcel_task.add(app, TaskName.TIDY, partial(tidy_parcel, Desk(bench.s3, sign)), lambda _: (), settings)
    return app


def build_bench(settings: DecryptorSettings, more: Sequence[str] = ()) -> Bench:
    """The decryptor without Celery. Exits with 2 as `build_app` does; `more` is what else is wrong."""
    gnupg = Gnupg(settings.gnupg_dir, on_disk=settings.spool_on_disk is SpoolOnDisk.ALLOW)
    gnupg.sweep()
    keyring, openpgp_senders = Keyring(settings.identities_dir, gnupg), OpenPgpSenders(settings.openpgp_senders, gnupg)
    keyring.refresh()
    openpgp_senders.refresh()
    datasets, senders, wrong = _senders(settings, known=bool(openpgp_senders.senders))
    problems = [*keyring.problems, *openpgp_senders.problems, *spool_place.problems(settings), *wrong, *more]
    if problems or datasets is None or senders is None:
        fail(problems)
    spool_place.warn_of_swap(settings)
    return Bench(
        s3=cache(partial(download.connect, settings)),
        keyring=keyring,
        spool_dir=settings.spool_dir,
        senders=senders,
        timeout=settings.decrypt_timeout,
        admit=Caps(settings.spool_dir, datasets, settings.max_file_bytes).admit,
        openpgp=OpenPgp(keyring, gnupg, openpgp_senders, datasets, settings.manifest_max_age),
    )


def _receipt_key(settings: DecryptorSettings) -> tuple[receipts.Sign, list[str]]:
    """What signs receipts, or what is wrong with the key."""
    path = settings.receipt_key_file
    if path is None or not path.exists():
        reason = "HIKYAKU_RECEIPT_KEY_FILE is not set" if path is None else "there is no such file: run setup"
        get_logger().warning("receipts_unsigned", action="receipts", path=path and str(path), reason=f"{reason}; senders can't check them")
        return receipts.unsigned, []
    try:
        return receipt_key.read(path), []
    except IdentityFileError as error:
        return receipts.unsigned, [f"HIKYAKU_RECEIPT_KEY_FILE: {error}"]


def _senders(settings: DecryptorSettings, *, known: bool = False) -> tuple[DatasetsFile | None, Senders | None, list[str]]:
    """What holds for each dataset and who may send what, or what is wrong with the files that say so.

    Args:
        settings: where they are.
        known: whether some sender is known by an OpenPGP key.
    """
    problems: list[str] = []
    datasets = signers = None
    try:
        datasets = DatasetsFile(settings.datasets)
    except DatasetsError as error:
        problems.append(f"HIKYAKU_DATASETS: {error}")
    try:
        signers = AllowedSigners(settings.allowed_signers)
    except SignersError as error:
        problems += [f"HIKYAKU_ALLOWED_SIGNERS: {settings.allowed_signers}: {problem}" for problem in error.problems]
    if datasets is None or signers is None:
        return None, None, problems
    asking = [options for options in datasets.current().options() if options.signature is SignaturePolicy.REQUIRED]
    if asking and not known and not signers.current():
        place = str(settings.allowed_signers or "HIKYAKU_ALLOWED_SIGNERS is not set")
        get_logger().warning("nobody_is_known", action="signers", path=place, reason="signatures are required: every file is rejected")
    return datasets, Senders(datasets, signers, settings.manifest_max_age), problems


def _files(parcel: dict[str, Any]) -> tuple[FileRef, ...]:
    return Parcel.read(parcel).files
