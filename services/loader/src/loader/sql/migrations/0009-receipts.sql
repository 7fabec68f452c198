-- What receipts tell of a file beyond what the ledger had: only an addition.
-- depends: 0008-history

ALTER TABLE hikyaku.files ADD COLUMN IF NOT EXISTS bad_lines bigint[];

COMMENT ON COLUMN hikyaku.files.bad_lines IS 'Lines of its first records that are wrong, 20 at the most; NULL: none, or nobody looked.';
