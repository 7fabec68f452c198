"""What each `error_code` of the ledger means, and what to do about it: docs/runbook.md in two sentences."""

from dataclasses import dataclass

RESEND = "Have it corrected and sent again."
REDRIVE = "then: hikyaku retry KEY"


@dataclass(frozen=True, slots=True)
class Advice:
    """For one code."""

    means: str
    do: str


ADVICE = {
    "event_invalid": Advice("The message is no event of S3's that we know.", "hikyaku dlq show: who sends to the queue?"),
    "object_missing": Advice("The object was gone when its event came.", "Have it sent again, unless it was deleted on purpose."),
    "object_changed": Advice("The object is not the one that its event told of.", "Have it sent again; its bucket should have versions."),
    "size_mismatch": Advice("The object has another size than its event or its manifest says.", "Have it sent again."),
    "hash_mismatch": Advice("The bytes are not those that were sent.", "Have it sent again."),
    "manifest_invalid": Advice("The sender's manifest can't be read.", "Ask the sender: a mistake, or somebody's work."),
    "signature_missing": Advice("The dataset asks for a signature, and the file has none.", "The sender sends it with --sign."),
    "signature_invalid": Advice("The signature does not fit the manifest.", "Ask the sender: a mistake, or somebody's work."),
    "signer_unknown": Advice(
        "No line of allowed_signers has this key for this name.", f"Compare the key with the sender's, add the line, {REDRIVE}"
    ),
    "signer_expired": Advice(
        "The signer's key did not hold when S3 took the file.", f"Mend allowed_signers, {REDRIVE}; or leave it refused."
    ),
    "signer_not_allowed": Advice("The signer is not among the dataset's senders.", f"Mend datasets.toml, {REDRIVE}; or leave it refused."),
    "manifest_mismatch": Advice("The object is not what was signed.", "Have it sent anew, and find out who writes to the bucket."),
    "age_header_invalid": Advice(
        "It is no age file that we open.", "The sender encrypts it to our recipient, without armor or passphrase."
    ),
    "no_matching_identity": Advice(
        "It is encrypted to a key that we do not have.", f"Add the identity, {REDRIVE}; or give the sender our recipient."
    ),
    "ciphertext_corrupt": Advice("It was damaged or cut after it was encrypted.", "Have it sent again."),
    "openpgp_invalid": Advice("It is no OpenPGP file that we open.", "docs/security.md says what is."),
    "gzip_invalid": Advice("What was encrypted is no whole gzip file.", RESEND),
    "too_large": Advice("It is above a bound, which the error names.", f"Raise that bound, {REDRIVE}; or have it sent in pieces."),
    "dataset_invalid": Advice("The dataset can't be loaded as it is set up.", f"hikyaku datasets check says what to mend, {REDRIVE}"),
    "table_unknown": Advice("The dataset's table does not exist.", f"Create it, or name another in datasets.toml, {REDRIVE}"),
    "columns_mismatch": Advice(
        "The file's columns are not the table's.", f"Alter the table or datasets.toml, {REDRIVE}; or have it corrected."
    ),
    "encoding_invalid": Advice("It is not in the encoding of its dataset.", RESEND),
    "csv_malformed": Advice("It is no well-formed CSV; the error names the line.", RESEND),
    "value_invalid": Advice("A value does not fit its column; the error names line and column.", RESEND),
    "constraint_violated": Advice("A row breaks a constraint of the table.", f"{RESEND} Or mend the constraint, {REDRIVE}"),
    "duplicate_keys": Advice("The file has the same key twice.", f"{RESEND} Or set on_duplicate_key, {REDRIVE}"),
    "too_many_rejected_rows": Advice("More records are wrong than max_rejected_rows allows.", RESEND),
    "group_conflict": Advice("Its group has another part of this number.", "The sender gives each file a group of its own."),
    "group_rejected": Advice("Another part of its group is wrong, or all together.", "The sender sends all of it again."),
    "group_expired": Advice("Parts of its group did not come in time.", "The sender sends all of it again."),
    "rows_mismatch": Advice("It has other records than its sender counted.", "The sender looks which is wrong, and sends it again."),
    "seq_missing": Advice(
        "The dataset needs its sender's number, and it has none.", f"Send it by hikyaku send; or change datasets.toml, {REDRIVE}"
    ),
    "seq_repeated": Advice("Other content was loaded under this number.", "Send it with a new number; ask who sends as this sender."),
    "storage_unavailable": Advice("S3 did not answer.", "It is tried again: look at hikyaku status."),
    "spool_unavailable": Advice("The spool is full or broken.", "It is tried again: docs/operations.md#sizing, if it stays."),
    "gpg_unavailable": Advice("The decryptor has OpenPGP keys, but no gpg that works.", "It is tried again: the decryptor's log says why."),
    "database_unavailable": Advice("PostgreSQL did not answer, or had no room.", "It is tried again: look at PostgreSQL, if it stays."),
    "tidy_refused": Advice("S3 does not let us tag or delete the object.", "Give the stack AfterLoad, or do it by hand."),
    "receipt_refused": Advice("S3 does not let us put the receipt.", "Update the stack, or switch `receipt` off for the dataset."),
    "timeout": Advice("It took longer than its deadline.", f"The workers' log; raise HIKYAKU_TASK_DEADLINE if it is only slow, {REDRIVE}"),
    "crashed": Advice("It took its worker down three times.", f"The workers' log; raise the memory limit, {REDRIVE}"),
    "internal_error": Advice("Nobody foresaw this.", "Its traceback is in the workers' log: please report it."),
}


def of(code: str) -> Advice:
    """Advice for a code; one that a newer service added has its own sentence in the ledger."""
    return ADVICE.get(
        code, Advice("This version does not know the code.", "The error says more; docs/runbook.md of the newer version, too.")
    )
