-- What a file did to its table, in more detail. Only additions: a loader of the version before works on meanwhile.
-- depends: 0001-ledger

ALTER TABLE hikyaku.files
ADD COLUMN IF NOT EXISTS rows_inserted bigint,
ADD COLUMN IF NOT EXISTS rows_updated bigint,
ADD COLUMN IF NOT EXISTS rows_unchanged bigint,
ADD COLUMN IF NOT EXISTS rows_deleted bigint;

COMMENT ON COLUMN hikyaku.files.rows_loaded IS 'Rows that the table holds because of this file: inserted, updated and unchanged ones.';
COMMENT ON COLUMN hikyaku.files.rows_changed IS 'Those of rows_loaded that were not in the table just so before: inserted and updated ones.';
COMMENT ON COLUMN hikyaku.files.rows_inserted IS 'Rows that were new.';
COMMENT ON COLUMN hikyaku.files.rows_updated IS 'Rows that replaced an earlier one of their key.';
COMMENT ON COLUMN hikyaku.files.rows_unchanged IS 'Rows that the table had just so, or newer (newer_by): they were not written again.';
COMMENT ON COLUMN hikyaku.files.rows_deleted IS 'Rows that went: those marked as deleted, or, with mode replace, all earlier ones.';

DROP VIEW IF EXISTS hikyaku.file_history;
CREATE VIEW hikyaku.file_history AS
SELECT
    event_time,
    status,
    dataset,
    key,
    rows_in_file,
    rows_inserted,
    rows_updated,
    rows_unchanged,
    rows_deleted,
    rows_rejected,
    rows_loaded,
    rows_changed,
    round(extract(epoch FROM coalesce(loaded_at, updated_at) - event_time), 3) AS seconds,
    attempts,
    error_code,
    error,
    target,
    mode,
    size_bytes,
    signer,
    recipient_identity,
    received_at,
    loaded_at,
    updated_at,
    version_id,
    file_id
FROM hikyaku.files
ORDER BY event_time DESC, key;

COMMENT ON VIEW hikyaku.file_history IS 'The ledger for people, newest first; seconds: from the upload to the load (or to the verdict).';

GRANT SELECT ON hikyaku.file_history TO hikyaku_operator;
