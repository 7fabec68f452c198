SELECT
    p.part, p.bucket, p.key, p.version_id, p.content_sha256, p.csv_bytes, p.gzip_bytes, f.sequencer, f.event_time,
    f.order_by, f.order_value, f.seq, f.declared_rows
FROM hikyaku.group_parts AS p
INNER JOIN hikyaku.files AS f USING (bucket, key, version_id)
WHERE p.group_id = %(group_id)s
ORDER BY p.part
