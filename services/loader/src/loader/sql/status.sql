SELECT f.status FROM hikyaku.files AS f WHERE f.bucket = %(bucket)s AND f.key = %(key)s AND f.version_id = %(version_id)s
