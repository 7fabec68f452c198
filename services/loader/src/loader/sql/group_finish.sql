-- The staged files of a group that has its end: one for each part, and those that repeated it.
UPDATE hikyaku.files AS f
SET
    status = CASE WHEN %(status)s::text = 'loaded' AND c.part IS NULL THEN 'duplicate' ELSE %(status)s::text END,
    target = %(target)s,
    mode = %(mode)s,
    content_sha256 = %(content_sha256)s,
    rows_in_file = c.records,
    rows_rejected = coalesce(c.wrong, 0),
    loaded_at = CASE WHEN %(status)s::text = 'loaded' AND c.part IS NOT NULL THEN clock_timestamp() END,
    updated_at = clock_timestamp()
FROM hikyaku.files AS s
LEFT JOIN hikyaku.group_parts AS p USING (bucket, key, version_id)
LEFT JOIN unnest(%(numbers)s::integer[], %(records)s::bigint[], %(wrong)s::bigint[]) AS c (part, records, wrong)
    ON p.group_id = %(group_id)s AND c.part = p.part
WHERE
    s.group_id = %(group_id)s AND s.status = 'staged'
    AND f.bucket = s.bucket AND f.key = s.key AND f.version_id = s.version_id
