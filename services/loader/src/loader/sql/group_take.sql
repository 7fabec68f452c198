-- The group of a part, whose row is locked until the transaction ends: parts of one group come one after another from here on.
-- Its time counts from its first part, by what datasets.toml says now.
INSERT INTO hikyaku.groups AS g (dataset, sender, signed, name, parts, expires_at)
VALUES (%(dataset)s, %(sender)s, %(signed)s, %(group)s, %(parts)s, clock_timestamp() + %(expires)s::interval)
ON CONFLICT (dataset, sender, signed, name) DO UPDATE
SET expires_at = CASE WHEN g.status = 'open' THEN g.created_at + %(expires)s::interval ELSE g.expires_at END
RETURNING g.group_id, g.status, g.parts, g.error, g.status = 'open' AND g.expires_at <= clock_timestamp()
