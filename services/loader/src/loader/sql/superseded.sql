-- An expression, for claim.sql and standing.sql. Did something newer come first?
-- Files that are ordered by the same thing (order_by in datasets.toml) are compared by it. Where that says nothing, versions of one key
-- are ordered by sequencer (Amazon S3 User Guide, event message structure), and else by event time.
-- A file that is the whole table is also outdone by a newer file under any other key.
EXISTS (
    SELECT FROM hikyaku.files AS f
    WHERE
        f.bucket = %(bucket)s AND f.key = %(key)s AND f.version_id <> %(version_id)s AND f.status IN ('loaded', 'duplicate')
        AND CASE
            WHEN f.order_by = %(order_by)s::text AND f.order_value <> %(order_value)s::text COLLATE "C"
                THEN f.order_value > %(order_value)s::text COLLATE "C"
            WHEN f.sequencer = '' OR %(sequencer)s::text = '' OR rtrim(f.sequencer, '0') = rtrim(%(sequencer)s::text, '0')
                THEN f.event_time > %(event_time)s::timestamptz
            ELSE rpad(f.sequencer, greatest(length(f.sequencer), length(%(sequencer)s::text)), '0') COLLATE "C"
                > rpad(%(sequencer)s::text, greatest(length(f.sequencer), length(%(sequencer)s::text)), '0') COLLATE "C"
        END
) OR (
    %(whole_table)s::boolean AND (
        EXISTS (
            SELECT FROM hikyaku.files AS f
            WHERE
                f.dataset = %(dataset)s AND f.status IN ('loaded', 'duplicate')
                AND f.order_by = %(order_by)s::text AND f.order_value > %(order_value)s::text COLLATE "C"
                AND (f.bucket, f.key) <> (%(bucket)s::text, %(key)s::text)
        ) OR EXISTS (
            SELECT FROM hikyaku.files AS f
            WHERE
                f.dataset = %(dataset)s AND f.status IN ('loaded', 'duplicate')
                AND f.event_time > %(event_time)s::timestamptz AND (f.bucket, f.key) <> (%(bucket)s::text, %(key)s::text)
                AND (f.order_by = %(order_by)s::text AND f.order_value <> %(order_value)s::text COLLATE "C") IS NOT TRUE
        )
    )
)
