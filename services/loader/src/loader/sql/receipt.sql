-- What a sender is told of a file: see shared.contract.Receipt. Times as text: the session's DateStyle is the dataset's.
SELECT
    f.bucket, f.key, f.version_id, f.sha256, f.size_bytes, f.dataset, f.status, f.error_code, f.error,
    f.rows_in_file, f.rows_inserted, f.rows_updated, f.rows_unchanged, f.rows_deleted, f.rows_rejected, f.bad_lines,
    f.file_id, f.sequencer, to_char(f.event_time AT TIME ZONE 'UTC', iso.form), to_char(f.received_at AT TIME ZONE 'UTC', iso.form),
    to_char(coalesce(f.loaded_at, f.updated_at) AT TIME ZONE 'UTC', iso.form) AS committed_at
FROM hikyaku.files AS f
CROSS JOIN (VALUES ('YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS iso (form)
WHERE f.bucket = %(bucket)s AND f.key = %(key)s AND f.version_id = %(version_id)s
