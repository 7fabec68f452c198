-- The file is a part of the group.
UPDATE hikyaku.files AS f
SET group_id = %(group_id)s, part = %(part)s
WHERE f.bucket = %(bucket)s AND f.key = %(key)s AND f.version_id = %(version_id)s
