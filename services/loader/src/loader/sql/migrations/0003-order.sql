-- What files are ordered by, and what their senders state of them. Only additions: a loader of the version before works on meanwhile.
-- depends: 0002-counts

ALTER TABLE hikyaku.files
ADD COLUMN IF NOT EXISTS order_by text,
ADD COLUMN IF NOT EXISTS order_value text COLLATE "C",
ADD COLUMN IF NOT EXISTS sender text,
ADD COLUMN IF NOT EXISTS seq bigint,
ADD COLUMN IF NOT EXISTS declared_rows bigint,
ADD COLUMN IF NOT EXISTS declared_at timestamptz;

COMMENT ON COLUMN hikyaku.files.order_by IS 'What tells the newer of two files (datasets.toml): a capture of the key as {day}, or whose numbers; NULL: event_time. Only files with the same are compared by order_value.';
COMMENT ON COLUMN hikyaku.files.order_value IS 'The value of that: compared as bytes, numbers have leading zeros.';
COMMENT ON COLUMN hikyaku.files.sender IS 'Who sent the file: the signer, or, without a signature, who the manifest says.';
COMMENT ON COLUMN hikyaku.files.seq IS 'The sender''s number of the file in its folder, from the manifest.';
COMMENT ON COLUMN hikyaku.files.declared_rows IS 'Records that the sender counted.';
COMMENT ON COLUMN hikyaku.files.declared_at IS 'When the sender made the manifest, by the sender''s clock.';

-- Is there a file of a higher order?
CREATE INDEX IF NOT EXISTS files_by_order ON hikyaku.files (dataset, order_by, order_value) WHERE status IN ('loaded', 'duplicate');
-- Which numbers has a sender used?
CREATE INDEX IF NOT EXISTS files_by_seq ON hikyaku.files (bucket, split_part(key, '/', 2), sender, seq) WHERE seq IS NOT NULL;

DROP VIEW IF EXISTS hikyaku.sender_sequence;
CREATE VIEW hikyaku.sender_sequence AS
WITH numbers AS (
    SELECT
        bucket,
        split_part(key, '/', 2) AS folder,
        sender,
        signer IS NOT NULL AS signed,
        seq,
        count(DISTINCT content_sha256) > 1 OR count(*) FILTER (WHERE error_code = 'seq_repeated') > 0 AS is_repeated,
        max(event_time) AS event_time
    FROM hikyaku.files
    WHERE seq IS NOT NULL AND NOT dry_run
    GROUP BY bucket, split_part(key, '/', 2), sender, signer IS NOT NULL, seq
),

steps AS (
    SELECT *, lead(seq) OVER (PARTITION BY bucket, folder, sender, signed ORDER BY seq) - seq - 1 AS gap
    FROM numbers
),

ranked AS (
    SELECT
        *,
        count(*) FILTER (WHERE gap > 0) OVER (PARTITION BY bucket, folder, sender, signed ORDER BY seq) AS gaps,
        count(*) FILTER (WHERE is_repeated) OVER (PARTITION BY bucket, folder, sender, signed ORDER BY seq) AS repeats
    FROM steps
)

SELECT
    folder,
    sender,
    signed,
    min(seq) AS first,
    max(seq) AS last,
    count(*) AS seen,
    coalesce(sum(gap), 0) AS missing_count,
    string_agg(CASE WHEN gap = 1 THEN (seq + 1)::text ELSE (seq + 1) || '-' || (seq + gap) END, ', ' ORDER BY seq) FILTER (WHERE gap > 0 AND gaps <= 20)
    || CASE WHEN max(gaps) > 20 THEN ', …' ELSE '' END AS missing,
    count(*) FILTER (WHERE is_repeated) AS repeated_count,
    string_agg(seq::text, ', ' ORDER BY seq) FILTER (WHERE is_repeated AND repeats <= 20)
    || CASE WHEN max(repeats) > 20 THEN ', …' ELSE '' END AS repeated,
    max(event_time) AS last_event_time,
    bucket
FROM ranked
GROUP BY bucket, folder, sender, signed
ORDER BY bucket, folder, sender, signed;

COMMENT ON VIEW hikyaku.sender_sequence IS 'What has come of each sender''s numbers, which are counted by folder (incoming/<folder>/); missing: between first and last, of which no file was opened yet; repeated: under which different content came. Of each, the first 20 are named.';

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
    sender,
    seq,
    signer,
    recipient_identity,
    order_by,
    order_value,
    received_at,
    loaded_at,
    updated_at,
    version_id,
    file_id
FROM hikyaku.files
ORDER BY event_time DESC, key;

COMMENT ON VIEW hikyaku.file_history IS 'The ledger for people, newest first; seconds: from the upload to the load (or to the verdict).';

GRANT SELECT ON hikyaku.file_history, hikyaku.sender_sequence TO hikyaku_operator;
