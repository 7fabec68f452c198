-- Take a file up. Copies of the same file wait here for one another, on the primary key; no row comes back from a file that is settled.
-- Whether the file is superseded is a first look, by what was committed before the wait: it saves copying an old file.
-- The status is what a reader would see only if this transaction committed half way, which it does not.
WITH taken AS (
    INSERT INTO hikyaku.files AS f (
        bucket, key, version_id, file_id, dataset, status, error_code, dry_run, etag, sequencer, size_bytes, sha256,
        event_time, received_at, signer, recipient_identity, message_id, loader,
        order_by, order_value, sender, seq, declared_rows, declared_at
    )
    VALUES (
        %(bucket)s, %(key)s, %(version_id)s, %(file_id)s, %(dataset)s, 'failed', 'crashed', %(dry_run)s, %(etag)s, %(sequencer)s, %(size)s,
        %(sha256)s, %(event_time)s, %(received_at)s, %(signer)s, %(recipient_identity)s, %(message_id)s, %(loader)s,
        %(order_by)s, %(order_value)s, %(sender)s, %(seq)s, %(declared_rows)s, %(declared_at)s
    )
    ON CONFLICT (bucket, key, version_id) DO UPDATE
    SET
        attempts = f.attempts + 1,
        dataset = excluded.dataset,
        sha256 = coalesce(excluded.sha256, f.sha256),
        signer = coalesce(excluded.signer, f.signer),
        recipient_identity = coalesce(excluded.recipient_identity, f.recipient_identity),
        message_id = excluded.message_id,
        received_at = excluded.received_at,
        loader = excluded.loader,
        order_by = excluded.order_by,
        order_value = excluded.order_value,
        sender = coalesce(excluded.sender, f.sender),
        seq = coalesce(excluded.seq, f.seq),
        declared_rows = coalesce(excluded.declared_rows, f.declared_rows),
        declared_at = coalesce(excluded.declared_at, f.declared_at)
    WHERE f.status IN ('rejected', 'failed')
    RETURNING f.attempts
)

SELECT (/* superseded.sql */) AS superseded FROM taken
