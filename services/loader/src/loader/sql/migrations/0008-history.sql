-- What a file's group is and lacks, beside the file; and which part of a group came last. Only additions: a loader of the version before
-- works on meanwhile.
-- depends: 0006-operator

ALTER TABLE hikyaku.groups ADD COLUMN IF NOT EXISTS last_part integer;

COMMENT ON COLUMN hikyaku.groups.last_part IS 'The part that came last, of a group that ended as a whole. Its message sees to the objects of all (after_load).';

-- Which files are of a group?
CREATE INDEX IF NOT EXISTS files_of_group ON hikyaku.files (group_id) WHERE group_id IS NOT NULL;

DROP VIEW IF EXISTS hikyaku.file_history;
CREATE VIEW hikyaku.file_history AS
-- Once for a group, and not for each of its files.
WITH waiting AS MATERIALIZED (
    SELECT group_id, hikyaku.lacking(group_id, parts) AS lacks
    FROM hikyaku.groups
    WHERE status = 'open'
)

SELECT
    f.event_time,
    f.status,
    f.dataset,
    f.key,
    g.name AS "group",
    f.part,
    g.parts,
    w.lacks,
    f.rows_in_file,
    f.rows_inserted,
    f.rows_updated,
    f.rows_unchanged,
    f.rows_deleted,
    f.rows_rejected,
    f.rows_loaded,
    f.rows_changed,
    round(extract(epoch FROM coalesce(f.loaded_at, f.updated_at) - f.event_time), 3) AS seconds,
    f.attempts,
    f.error_code,
    f.error,
    f.target,
    f.mode,
    f.size_bytes,
    f.sender,
    f.seq,
    f.signer,
    f.recipient_identity,
    f.order_by,
    f.order_value,
    f.received_at,
    f.loaded_at,
    f.updated_at,
    f.version_id,
    f.file_id
FROM hikyaku.files AS f
LEFT JOIN hikyaku.groups AS g USING (group_id)
LEFT JOIN waiting AS w USING (group_id)
ORDER BY f.event_time DESC, f.key;

COMMENT ON VIEW hikyaku.file_history IS 'The ledger for people, newest first; seconds: from the upload to the load (or to the verdict); group, part, parts: of a file in parts; lacks: the parts that its group still waits for.';

GRANT SELECT ON hikyaku.file_history TO hikyaku_operator;
