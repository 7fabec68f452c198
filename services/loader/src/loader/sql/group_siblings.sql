-- The other files of the group that this one completed, parts and repeats of parts, whose objects are to be seen to with its own.
-- Nothing for any other file; at most as many as asked for, each with how many there are.
SELECT s.key, s.version_id, coalesce(s.etag, '') AS etag, count(*) OVER () AS siblings
FROM hikyaku.files AS f
INNER JOIN hikyaku.groups AS g ON f.group_id = g.group_id AND f.part = g.last_part
INNER JOIN hikyaku.group_parts AS p
    ON g.group_id = p.group_id AND f.part = p.part AND f.bucket = p.bucket AND f.key = p.key AND f.version_id = p.version_id
INNER JOIN hikyaku.files AS s ON g.group_id = s.group_id AND f.bucket = s.bucket AND (f.key, f.version_id) <> (s.key, s.version_id)
WHERE
    f.bucket = %(bucket)s AND f.key = %(key)s AND f.version_id = %(version_id)s
    AND s.status = ANY(%(tidied)s)
ORDER BY s.part, s.key, s.version_id
LIMIT %(most)s
