-- Groups whose time is over. Those that somebody is at are left for the next look.
SELECT g.group_id
FROM hikyaku.groups AS g
WHERE g.status = 'open' AND g.expires_at <= clock_timestamp()
ORDER BY g.group_id
LIMIT 100
FOR UPDATE SKIP LOCKED
