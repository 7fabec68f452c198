UPDATE hikyaku.groups AS g
SET
    status = 'expired',
    error = 'group ' || g.name || ' expired: of its ' || g.parts || ' parts, ' || hikyaku.lacking(g.group_id, g.parts) || ' did not come in time',
    updated_at = clock_timestamp()
WHERE g.group_id = ANY(%(groups)s::bigint[])
