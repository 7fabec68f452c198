-- Row data is for those who may read the tables: the operator sees that a record was put aside, where and why, not what it says.
-- depends: 0003-order 0004-groups

-- Until now the operator got every table of ours, yoyo's included. From here on a migration grants what it makes, by name.
ALTER DEFAULT PRIVILEGES IN SCHEMA hikyaku REVOKE SELECT ON TABLES FROM hikyaku_operator;
REVOKE ALL ON ALL TABLES IN SCHEMA hikyaku FROM hikyaku_operator;
GRANT SELECT ON
hikyaku.files, hikyaku.watermarks, hikyaku.file_history, hikyaku.groups, hikyaku.group_parts, hikyaku.group_progress,
hikyaku.sender_sequence
TO hikyaku_operator;
GRANT SELECT (bucket, key, version_id, line_number, column_name, error_code, error, rejected_at)
ON hikyaku.rejected_rows TO hikyaku_operator;

GRANT SELECT ON hikyaku.rejected_rows TO hikyaku_owner;
-- The loader only ever adds to them.
REVOKE SELECT ON hikyaku.rejected_rows FROM hikyaku_loader;

COMMENT ON COLUMN hikyaku.rejected_rows.raw_text IS 'The record as it came. Row data: hikyaku_owner reads it, hikyaku_operator does not.';
