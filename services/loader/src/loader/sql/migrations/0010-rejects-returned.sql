-- Wrong records come back to their sender where the dataset says so: the loader reads what it has put aside, to encrypt it.
-- depends: 0009-receipts

GRANT SELECT (bucket, key, version_id, line_number, column_name, error_code, error, raw_text) ON hikyaku.rejected_rows TO hikyaku_loader;

COMMENT ON COLUMN hikyaku.rejected_rows.raw_text IS 'The record as it came. Row data: hikyaku_owner reads it, and the loader, to return it (rejects in datasets.toml); hikyaku_operator does not.';
