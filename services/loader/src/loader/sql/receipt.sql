-- What a sender is told of a file: see shared.contract.Receipt.
SELECT
    f.bucket, f.key, f.version_id, f.sha256, f.size_bytes, f.dataset, f.status, f.error_code, f.error,
    f.rows_in_file, f.rows_inserted, f.rows_updated, f.rows_unchanged, f.rows_deleted, f.rows_rejected, f.bad_lines,
    f.file_id, f.sequencer, f.event_time, f.received_at, coalesce(f.loaded_at, f.updated_at) AS committed_at
FROM hikyaku.files AS f
WHERE f.bucket = %(bucket)s AND f.key = %(key)s AND f.version_id = %(version_id)s
