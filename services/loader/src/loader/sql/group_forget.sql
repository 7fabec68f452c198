DELETE FROM hikyaku.part_chunks AS c WHERE c.group_id = ANY(%(groups)s::bigint[])
