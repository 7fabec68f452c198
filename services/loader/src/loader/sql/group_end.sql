UPDATE hikyaku.groups AS g
SET status = %(status)s, error = %(error)s, last_part = %(last_part)s, updated_at = clock_timestamp()
WHERE g.group_id = %(group_id)s
