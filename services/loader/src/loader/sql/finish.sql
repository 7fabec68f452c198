-- What became of the file, and, if its rows are in, how far its dataset has come: a watermark only moves forward.
WITH mark AS (
    INSERT INTO hikyaku.watermarks AS w (dataset, value, file)
    SELECT %(dataset)s::text, %(watermark)s::text, %(key)s::text
    WHERE %(status)s::text = 'loaded' AND %(watermark)s::text IS NOT NULL
    ON CONFLICT (dataset) DO UPDATE
    SET value = excluded.value, file = excluded.file, updated_at = clock_timestamp()
    -- A mark from a column was compared as its type before.
    WHERE %(watermark_is_newer)s::boolean OR w.value COLLATE "C" < excluded.value COLLATE "C"
)

UPDATE hikyaku.files AS f
SET
    status = %(status)s,
    error_code = %(error_code)s,
    error = %(error)s,
    target = %(target)s,
    mode = %(mode)s,
    content_sha256 = %(content_sha256)s,
    rows_in_file = %(rows_in_file)s,
    rows_loaded = %(rows_loaded)s,
    rows_changed = %(rows_changed)s,
    rows_inserted = %(rows_inserted)s,
    rows_updated = %(rows_updated)s,
    rows_unchanged = %(rows_unchanged)s,
    rows_deleted = %(rows_deleted)s,
    rows_rejected = %(rows_rejected)s,
    bad_lines = %(bad_lines)s::bigint[],
    loaded_at = CASE WHEN %(status)s::text = 'loaded' THEN clock_timestamp() END,
    updated_at = clock_timestamp()
WHERE f.bucket = %(bucket)s AND f.key = %(key)s AND f.version_id = %(version_id)s
