"""What each role of aws/stack.yaml must be allowed to do, and what nobody of them should be."""

from collections.abc import Iterator, Mapping

NEEDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "operator": {
        "bucket": ("s3:ListBucket", "s3:ListBucketVersions"),
        "files": ("s3:GetObject", "s3:GetObjectVersion"),
        "incoming": ("s3:PutObject", "s3:AbortMultipartUpload"),
        "queue": ("sqs:GetQueueAttributes", "sqs:ListDeadLetterSourceQueues", "sqs:SendMessage"),
        "dlq": (
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:StartMessageMoveTask",
            "sqs:CancelMessageMoveTask",
            "sqs:ListMessageMoveTasks",
        ),
        "key": ("kms:GenerateDataKey", "kms:Decrypt"),
    },
    "poller": {
        "queue": ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"),
        "dlq": ("sqs:SendMessage",),
        "key": ("kms:GenerateDataKey", "kms:Decrypt"),
    },
    "decryptor": {
        "bucket": ("s3:ListBucket",),
        "incoming": ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
        "receipts": ("s3:PutObject", "s3:GetObject"),
        "rejects": ("s3:PutObject", "s3:GetObject"),
        "key": ("kms:GenerateDataKey", "kms:Decrypt"),
    },
    "sender": {
        "incoming": ("s3:PutObject", "s3:AbortMultipartUpload"),
        "receipts": ("s3:GetObject",),
        "rejects": ("s3:GetObject",),
        "key": ("kms:GenerateDataKey", "kms:Decrypt"),
    },
}
"""By role and by what it is about."""

UNWANTED: Mapping[str, tuple[str, ...]] = {
    "bucket": ("s3:PutBucketPolicy", "s3:PutBucketVersioning", "s3:PutBucketNotification", "s3:DeleteBucket"),
    "incoming": ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject", "s3:GetObject"),
    "receipts": ("s3:PutObject", "s3:DeleteObject"),
    "rejects": ("s3:PutObject", "s3:DeleteObject"),
    "queue": ("sqs:PurgeQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes", "sqs:ReceiveMessage", "sqs:DeleteMessage"),
    "key": ("kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:PutKeyPolicy"),
    "everything": ("s3:ListAllMyBuckets", "iam:CreateAccessKey", "iam:AttachUserPolicy", "iam:PutUserPolicy"),
}
"""What would hurt, by what it is about; of what a role needs, it is no harm."""
BY_AFTER_LOAD = {("decryptor", "s3:DeleteObjectVersion")}
"""The stack's AfterLoad decides."""


def unwanted(role: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """By what it is about: what this role should not be allowed to do."""
    for about, actions in UNWANTED.items():
        # What is under incoming/ is among the bucket's files.
        needed = (*NEEDS[role].get(about, ()), *(NEEDS[role].get("files", ()) if about == "incoming" else ()))
        if found := tuple(each for each in actions if each not in needed and (role, each) not in BY_AFTER_LOAD):
            yield about, found
