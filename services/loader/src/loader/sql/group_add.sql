-- The first file with this part of the group.
INSERT INTO hikyaku.group_parts (group_id, part, bucket, key, version_id, content_sha256, csv_bytes, gzip_bytes)
VALUES (%(group_id)s, %(part)s, %(bucket)s, %(key)s, %(version_id)s, %(content_sha256)s, %(csv_bytes)s, %(gzip_bytes)s)
