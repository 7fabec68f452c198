SELECT
    c.oid::bigint AS oid,
    c.relkind::text AS kind,
    current_user::text AS role,
    -- How values of this file are read, until its transaction ends; empty: as the session has it.
    concat(
        CASE WHEN %(datestyle)s::text <> '' THEN set_config('datestyle', %(datestyle)s::text, true) END,
        CASE WHEN %(timezone)s::text <> '' THEN set_config('timezone', %(timezone)s::text, true) END
    ) AS session,
    coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'name', a.attname,
            'type', format_type(a.atttypid, a.atttypmod),
            'not_null', a.attnotnull OR (SELECT t.typnotnull FROM pg_type AS t WHERE t.oid = a.atttypid),
            'type_not_null', (SELECT t.typnotnull FROM pg_type AS t WHERE t.oid = a.atttypid),
            'optional', a.atthasdef OR a.attidentity <> '' OR (SELECT t.typdefault IS NOT NULL FROM pg_type AS t WHERE t.oid = a.atttypid),
            'computed', a.attgenerated <> '' OR a.attidentity = 'a',
            'shape', concat_ws(' ', a.atttypid::oid, a.atttypmod, a.attcollation::oid),
            -- Object ids below 16384 are PostgreSQL's own (manual, system columns; access/transam.h, FirstNormalObjectId).
            'builtin', a.atttypid < 16384
        ) ORDER BY a.attnum)
        FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ), '[]') AS columns,
    -- Unique indexes that ON CONFLICT (columns) can infer: no predicate, no expression, not deferrable.
    coalesce((
        SELECT jsonb_agg((
            SELECT jsonb_agg(a.attname ORDER BY k.position)
            FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, position)
            INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
            WHERE k.position <= i.indnkeyatts
        ) ORDER BY i.indisprimary DESC, i.indexrelid)
        FROM pg_index AS i
        WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
    ), '[]') AS keys,
    EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate AND i.indisvalid) AS has_primary_key,
    EXISTS (SELECT FROM pg_constraint AS d WHERE d.condeferrable AND c.oid IN (d.conrelid, d.confrelid)) AS deferrable,
    -- An INSERT would be told to have worked, and nothing would be there.
    EXISTS (
        SELECT FROM pg_rewrite AS w
        WHERE w.ev_class = c.oid AND w.ev_type = '3' AND w.is_instead AND w.ev_enabled IN ('O', 'A')
    ) AS diverts,
    ARRAY(SELECT k.relname::text FROM pg_class AS k WHERE k.relnamespace = pg_my_temp_schema() AND k.relkind = 'r') AS kept
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s
