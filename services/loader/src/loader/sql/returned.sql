-- Records that were put aside of a file, as far as they fit, each with how many there are. Of a group, those of all its parts come
-- with the part that completed it.
WITH told AS (
    SELECT f.bucket, f.key, f.version_id, f.part, f.rows_rejected
    FROM hikyaku.files AS f
    WHERE f.bucket = %(bucket)s AND f.key = %(key)s AND f.version_id = %(version_id)s
    UNION ALL
    SELECT s.bucket, s.key, s.version_id, s.part, s.rows_rejected
    FROM hikyaku.files AS f
    INNER JOIN hikyaku.groups AS g ON f.group_id = g.group_id AND f.part = g.last_part
    INNER JOIN hikyaku.files AS s ON g.group_id = s.group_id AND (f.bucket, f.key, f.version_id) <> (s.bucket, s.key, s.version_id)
    WHERE f.bucket = %(bucket)s AND f.key = %(key)s AND f.version_id = %(version_id)s
),

put_aside AS (
    SELECT t.part, r.line_number, r.column_name, r.error_code, r.error, r.raw_text
    FROM told AS t
    INNER JOIN hikyaku.rejected_rows AS r ON t.bucket = r.bucket AND t.key = r.key AND t.version_id = r.version_id
    ORDER BY t.part, r.line_number
    LIMIT %(most_records)s
),

measured AS (
    SELECT p.*, sum(octet_length(p.error) + octet_length(coalesce(p.raw_text, ''))) OVER (ORDER BY p.part, p.line_number) AS bytes_so_far
    FROM put_aside AS p
)

SELECT
    m.part, m.line_number, m.column_name, m.error_code, m.error, m.raw_text,
    (SELECT sum(t.rows_rejected) FROM told AS t)::bigint AS records
FROM measured AS m
WHERE m.bytes_so_far <= %(most_bytes)s
ORDER BY m.part, m.line_number
