-- The ledger: what became of every object version. Written so that a run that was cut short may simply be repeated.
-- depends:

CREATE TABLE IF NOT EXISTS hikyaku.files (
    bucket text NOT NULL,
    key text NOT NULL,
    version_id text NOT NULL,
    file_id text NOT NULL,
    dataset text,
    status text NOT NULL,
    dry_run boolean NOT NULL DEFAULT false,
    etag text NOT NULL DEFAULT '',
    sequencer text NOT NULL DEFAULT '',
    size_bytes bigint NOT NULL,
    sha256 text,
    content_sha256 text,
    target text,
    mode text,
    rows_in_file bigint,
    rows_loaded bigint,
    rows_changed bigint,
    rows_rejected bigint NOT NULL DEFAULT 0,
    event_time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    loaded_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts integer NOT NULL DEFAULT 1,
    error_code text,
    error text,
    signer text,
    recipient_identity text,
    message_id text NOT NULL DEFAULT '',
    loader text,
    PRIMARY KEY (bucket, key, version_id),
    CONSTRAINT files_status CHECK (status IN ('loaded', 'duplicate', 'superseded', 'rejected', 'failed', 'tested')),
    CONSTRAINT files_error CHECK ((status IN ('rejected', 'failed')) = (error_code IS NOT NULL)),
    CONSTRAINT files_loaded_at CHECK ((status = 'loaded') = (loaded_at IS NOT NULL))
);

COMMENT ON TABLE hikyaku.files IS 'The ledger: one row per object version. A row with status loaded commits together with the rows it speaks of.';
COMMENT ON COLUMN hikyaku.files.bucket IS 'S3 bucket.';
COMMENT ON COLUMN hikyaku.files.key IS 'S3 object key.';
COMMENT ON COLUMN hikyaku.files.version_id IS 'S3 version; etag:<etag> in a bucket without versioning.';
COMMENT ON COLUMN hikyaku.files.file_id IS 'Short id of (bucket, key, version_id) that the log lines of all services carry.';
COMMENT ON COLUMN hikyaku.files.dataset IS 'The dataset that the key belongs to; NULL when it belongs to none.';
COMMENT ON COLUMN hikyaku.files.status IS 'loaded; duplicate: content already loaded; superseded: something newer was loaded first; rejected: never will load as it is; failed: will be tried again; tested: dry run.';
COMMENT ON COLUMN hikyaku.files.dry_run IS 'Sent under incoming/test/: loaded and rolled back.';
COMMENT ON COLUMN hikyaku.files.etag IS 'As the event said.';
COMMENT ON COLUMN hikyaku.files.sequencer IS 'Orders the events of one key: right-pad the shorter with zeros, compare as text.';
COMMENT ON COLUMN hikyaku.files.size_bytes IS 'Bytes of ciphertext.';
COMMENT ON COLUMN hikyaku.files.sha256 IS 'SHA-256 of the ciphertext as received, hex.';
COMMENT ON COLUMN hikyaku.files.content_sha256 IS 'SHA-256 of the CSV, hex: the same content encrypted anew has the same.';
COMMENT ON COLUMN hikyaku.files.target IS 'schema.table that it went to.';
COMMENT ON COLUMN hikyaku.files.mode IS 'upsert, append or replace.';
COMMENT ON COLUMN hikyaku.files.rows_in_file IS 'Records in the CSV, the header not counted.';
COMMENT ON COLUMN hikyaku.files.rows_loaded IS 'Rows that the table holds because of this file: rows_in_file less earlier records of a key that came again.';
COMMENT ON COLUMN hikyaku.files.rows_changed IS 'Those of rows_loaded that were not in the table just so before.';
COMMENT ON COLUMN hikyaku.files.rows_rejected IS 'Records put aside in hikyaku.rejected_rows.';
COMMENT ON COLUMN hikyaku.files.event_time IS 'When S3 created the object.';
COMMENT ON COLUMN hikyaku.files.received_at IS 'When the poller received the message.';
COMMENT ON COLUMN hikyaku.files.loaded_at IS 'When its rows were written, moments before the commit.';
COMMENT ON COLUMN hikyaku.files.updated_at IS 'When this row last changed.';
COMMENT ON COLUMN hikyaku.files.attempts IS 'How often the loader took the file up.';
COMMENT ON COLUMN hikyaku.files.error_code IS 'Stable name of what went wrong; only with rejected and failed.';
COMMENT ON COLUMN hikyaku.files.error IS 'One sentence for the operator. Never row data.';
COMMENT ON COLUMN hikyaku.files.signer IS 'Who signed the file.';
COMMENT ON COLUMN hikyaku.files.recipient_identity IS 'Name of the identity that opened the file.';
COMMENT ON COLUMN hikyaku.files.message_id IS 'SQS message that announced it last.';
COMMENT ON COLUMN hikyaku.files.loader IS 'Instance and version of the loader that wrote this row last.';

-- Was this content loaded before under this dataset?
CREATE INDEX IF NOT EXISTS files_by_content ON hikyaku.files (dataset, content_sha256) WHERE status = 'loaded';
-- What did this dataset load last?
CREATE INDEX IF NOT EXISTS files_by_load ON hikyaku.files (dataset, loaded_at) WHERE status = 'loaded';
-- Which of a dataset's files is the newest?
CREATE INDEX IF NOT EXISTS files_by_event ON hikyaku.files (dataset, event_time) WHERE status IN ('loaded', 'duplicate');
-- What needs a person?
CREATE INDEX IF NOT EXISTS files_in_trouble ON hikyaku.files (updated_at) WHERE status IN ('rejected', 'failed');

CREATE TABLE IF NOT EXISTS hikyaku.rejected_rows (
    bucket text NOT NULL,
    key text NOT NULL,
    version_id text NOT NULL,
    line_number bigint NOT NULL,
    column_name text,
    error_code text NOT NULL,
    error text NOT NULL,
    raw_text text,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (bucket, key, version_id, line_number),
    FOREIGN KEY (bucket, key, version_id) REFERENCES hikyaku.files
);

COMMENT ON TABLE hikyaku.rejected_rows IS 'Records that were put aside while the rest of their file was loaded.';
COMMENT ON COLUMN hikyaku.rejected_rows.bucket IS 'The file, as in hikyaku.files.';
COMMENT ON COLUMN hikyaku.rejected_rows.key IS 'The file, as in hikyaku.files.';
COMMENT ON COLUMN hikyaku.rejected_rows.version_id IS 'The file, as in hikyaku.files.';
COMMENT ON COLUMN hikyaku.rejected_rows.line_number IS 'Line of the CSV, the first is 1.';
COMMENT ON COLUMN hikyaku.rejected_rows.column_name IS 'The column that is wrong, when one can be named.';
COMMENT ON COLUMN hikyaku.rejected_rows.error_code IS 'Stable name of what is wrong.';
COMMENT ON COLUMN hikyaku.rejected_rows.error IS 'One sentence for the operator.';
COMMENT ON COLUMN hikyaku.rejected_rows.raw_text IS 'The record as it came. Row data: only those may read it who may read the table.';
COMMENT ON COLUMN hikyaku.rejected_rows.rejected_at IS 'When it was put aside.';

CREATE TABLE IF NOT EXISTS hikyaku.watermarks (
    dataset text PRIMARY KEY,
    value text NOT NULL,
    file text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE hikyaku.watermarks IS 'How far each dataset has come. A mark only moves forward, in the transaction of the file that moved it.';
COMMENT ON COLUMN hikyaku.watermarks.dataset IS 'The dataset.';
COMMENT ON COLUMN hikyaku.watermarks.value IS 'Event time of the newest loaded file: ISO 8601 in UTC with milliseconds, so that text order is time order.';
COMMENT ON COLUMN hikyaku.watermarks.file IS 'Object key of that file.';
COMMENT ON COLUMN hikyaku.watermarks.updated_at IS 'When the mark last moved.';

CREATE OR REPLACE VIEW hikyaku.file_history AS
SELECT
    event_time,
    status,
    dataset,
    key,
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

GRANT USAGE ON SCHEMA hikyaku TO hikyaku_loader, hikyaku_operator;
-- No DELETE anywhere: the loader can't make the ledger forget.
GRANT SELECT, INSERT, UPDATE ON hikyaku.files, hikyaku.watermarks TO hikyaku_loader;
GRANT SELECT, INSERT ON hikyaku.rejected_rows TO hikyaku_loader;
GRANT SELECT ON hikyaku.files, hikyaku.watermarks, hikyaku.rejected_rows, hikyaku.file_history TO hikyaku_operator;
