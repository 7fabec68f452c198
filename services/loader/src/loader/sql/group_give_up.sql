-- The staged files of groups that were rejected or have expired.
UPDATE hikyaku.files AS f
SET
    status = 'rejected',
    error_code = CASE WHEN g.status = 'expired' THEN 'group_expired' ELSE 'group_rejected' END,
    error = g.error,
    updated_at = clock_timestamp()
FROM hikyaku.groups AS g
WHERE g.group_id = ANY(%(groups)s::bigint[]) AND f.group_id = g.group_id AND f.status = 'staged'
