-- What may trouble the loader's role with a table, beyond what the loader itself looks at for every file (relation.sql).
SELECT
    c.relpersistence = 'u' AS unlogged,
    c.relispartition AS is_partition,
    c.relkind = 'p' AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = c.oid) AS lacks_partitions,
    c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = c.oid) AS has_children,
    -- tgtype: 1 for each row, 2 before (include/catalog/pg_trigger.h).
    ARRAY(
        SELECT t.tgname::text FROM pg_trigger AS t
        WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 3 = 3
        ORDER BY t.tgname
    ) AS before_triggers,
    ARRAY(
        SELECT t.tgname::text FROM pg_trigger AS t
        WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 3 <> 3
        ORDER BY t.tgname
    ) AS other_triggers,
    -- ev_type: 2 update, 3 insert, 4 delete. ON INSERT DO ALSO NOTHING changes nothing (measured: it does not forbid an upsert either).
    ARRAY(
        SELECT w.rulename::text FROM pg_rewrite AS w
        WHERE
            w.ev_class = c.oid AND w.ev_enabled IN ('O', 'A')
            AND (
                w.ev_type = '2'
                OR (
                    w.ev_type = '3' AND NOT w.is_instead
                    AND (pg_get_ruledef(w.oid) NOT LIKE '%%DO NOTHING;' OR pg_get_ruledef(w.oid) LIKE '%%ON CONFLICT%%')
                )
            )
        ORDER BY w.rulename
    ) AS other_rules,
    ARRAY(
        SELECT w.rulename::text FROM pg_rewrite AS w
        WHERE w.ev_class = c.oid AND w.ev_enabled IN ('O', 'A') AND w.ev_type = '4'
        ORDER BY w.rulename
    ) AS delete_rules,
    c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls
    AND (c.relforcerowsecurity OR NOT pg_has_role(r.oid, c.relowner, 'USAGE')) AS row_security,
    ARRAY(
        SELECT p.polname::text FROM pg_policy AS p
        WHERE
            p.polrelid = c.oid
            AND EXISTS (SELECT FROM unnest(p.polroles) AS member (id) WHERE member.id = 0 OR pg_has_role(r.oid, member.id, 'MEMBER'))
        ORDER BY p.polname
    ) AS policies,
    ARRAY(SELECT k.conname::text FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'x' ORDER BY k.conname) AS exclusions,
    ARRAY(SELECT k.conname::text FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.condeferrable ORDER BY k.conname) AS deferrables,
    coalesce((
        SELECT jsonb_object_agg(k.conrelid::regclass::text, k.confdeltype::text)
        FROM pg_constraint AS k
        WHERE k.confrelid = c.oid AND k.contype = 'f' AND k.conrelid <> c.oid
    ), '{}') AS referred_by,
    ARRAY(SELECT wanted.name FROM unnest(%(needed)s::text[]) AS wanted (name) WHERE NOT has_table_privilege(r.oid, c.oid, wanted.name)) AS refused,
    has_schema_privilege(r.oid, c.relnamespace, 'USAGE') AS may_use_schema,
    has_database_privilege(r.oid, current_database(), 'TEMPORARY') AS may_stage,
    ARRAY(
        SELECT s.oid::regclass::text
        FROM pg_attrdef AS d
        INNER JOIN pg_depend AS e ON e.classid = 'pg_attrdef'::regclass AND e.objid = d.oid AND e.refclassid = 'pg_class'::regclass
        INNER JOIN pg_class AS s ON s.oid = e.refobjid
        -- CASE keeps the planner from asking of what is no sequence, which is an error.
        WHERE d.adrelid = c.oid AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(r.oid, s.oid, 'USAGE') END
    ) AS refused_sequences,
    coalesce((
        SELECT jsonb_object_agg(a.attname, jsonb_build_object(
            'made', CASE
                WHEN a.attgenerated <> '' THEN 'generated'
                WHEN a.attidentity <> '' THEN 'identity'
                WHEN a.atthasdef OR t.typdefault IS NOT NULL THEN 'default'
                ELSE ''
            END,
            'base', format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL),
            'category', t.typcategory
        ))
        FROM pg_attribute AS a
        INNER JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ), '{}') AS types
FROM pg_class AS c
CROSS JOIN pg_roles AS r
WHERE c.oid = %(oid)s AND r.rolname = %(role)s
