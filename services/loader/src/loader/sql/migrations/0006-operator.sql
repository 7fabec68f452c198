-- What operators did: only additions.
-- depends: 0005-privileges

CREATE TABLE IF NOT EXISTS hikyaku.operator_actions (
    action_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    action text NOT NULL,
    outcome text,
    reason text,
    target jsonb NOT NULL,
    who text NOT NULL,
    host text NOT NULL,
    db_role text NOT NULL DEFAULT session_user,
    CONSTRAINT operator_actions_ended CHECK ((ended_at IS NULL) = (outcome IS NULL))
);

COMMENT ON TABLE hikyaku.operator_actions IS 'Every change that an operator made with hikyaku: written before it, and finished after it. Nobody may delete here.';
COMMENT ON COLUMN hikyaku.operator_actions.action_id IS 'Number of the action.';
COMMENT ON COLUMN hikyaku.operator_actions.began_at IS 'Before anything changed.';
COMMENT ON COLUMN hikyaku.operator_actions.ended_at IS 'Afterwards; NULL: cut short, or still under way.';
COMMENT ON COLUMN hikyaku.operator_actions.action IS 'The command, as dlq redrive.';
COMMENT ON COLUMN hikyaku.operator_actions.outcome IS 'done with its counts, or why it failed.';
COMMENT ON COLUMN hikyaku.operator_actions.reason IS 'The operator''s own words.';
COMMENT ON COLUMN hikyaku.operator_actions.target IS 'What it was about: keys, versions, counts.';
COMMENT ON COLUMN hikyaku.operator_actions.who IS 'Who typed it, as far as the host knows.';
COMMENT ON COLUMN hikyaku.operator_actions.host IS 'Where.';
COMMENT ON COLUMN hikyaku.operator_actions.db_role IS 'The PostgreSQL role that was logged in: this one is proven.';

GRANT SELECT ON hikyaku.operator_actions TO hikyaku_operator;
GRANT INSERT (action, reason, target, who, host), UPDATE (ended_at, outcome) ON hikyaku.operator_actions TO hikyaku_operator;

CREATE TABLE IF NOT EXISTS hikyaku.forgotten (
    bucket text NOT NULL,
    key text NOT NULL,
    version_id text NOT NULL,
    action_id bigint NOT NULL REFERENCES hikyaku.operator_actions,
    file_id text NOT NULL,
    entry jsonb NOT NULL,
    rejected_rows jsonb NOT NULL,
    forgotten_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (bucket, key, version_id, action_id)
);

COMMENT ON TABLE hikyaku.forgotten IS 'What the ledger said of files that were forgotten so that they could load again. Only additions.';
COMMENT ON COLUMN hikyaku.forgotten.bucket IS 'The file, as it was in hikyaku.files.';
COMMENT ON COLUMN hikyaku.forgotten.key IS 'The file, as it was in hikyaku.files.';
COMMENT ON COLUMN hikyaku.forgotten.version_id IS 'The file, as it was in hikyaku.files.';
COMMENT ON COLUMN hikyaku.forgotten.action_id IS 'Who, when and why: in hikyaku.operator_actions.';
COMMENT ON COLUMN hikyaku.forgotten.file_id IS 'Short id of the file that the log lines of all services carry.';
COMMENT ON COLUMN hikyaku.forgotten.entry IS 'Its whole row of hikyaku.files.';
COMMENT ON COLUMN hikyaku.forgotten.rejected_rows IS 'Its rows of hikyaku.rejected_rows, less raw_text, which is row data.';
COMMENT ON COLUMN hikyaku.forgotten.forgotten_at IS 'When.';

GRANT SELECT ON hikyaku.forgotten TO hikyaku_operator;

-- The one way to take something out of the ledger: nobody but its owner may DELETE. Locks are taken or refused at once, so that a loader
-- that works on the file is never waited for.
CREATE OR REPLACE FUNCTION hikyaku.forget(of_bucket text, of_key text, of_version text, of_action bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    of_group bigint;
    found_status text;
    gone integer;
BEGIN
    PERFORM FROM hikyaku.operator_actions AS a
    WHERE a.action_id = of_action AND a.action = 'forget' AND a.ended_at IS NULL AND a.db_role = session_user;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no forget of yours under number % is under way in hikyaku.operator_actions', of_action;
    END IF;

    SELECT f.group_id INTO of_group
    FROM hikyaku.files AS f
    WHERE f.bucket = of_bucket AND f.key = of_key AND f.version_id = of_version
    FOR UPDATE NOWAIT;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the ledger has no such file version: it is under way, or never came';
    END IF;
    PERFORM FROM hikyaku.groups AS g WHERE g.group_id = of_group FOR UPDATE NOWAIT;
    PERFORM FROM hikyaku.files AS f WHERE f.group_id = of_group FOR UPDATE NOWAIT;

    SELECT f.status INTO found_status
    FROM hikyaku.files AS f
    WHERE
        ((f.bucket = of_bucket AND f.key = of_key AND f.version_id = of_version) OR f.group_id = of_group)
        AND (f.status IN ('failed', 'staged') OR (f.status = 'rejected' AND of_group IS NULL))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a file that is % can be tried again, or waits to be, as it is', found_status;
    END IF;
    PERFORM FROM hikyaku.groups AS g WHERE g.group_id = of_group AND g.status = 'open';
    IF FOUND THEN
        RAISE EXCEPTION 'its group still waits for parts';
    END IF;

    INSERT INTO hikyaku.forgotten (bucket, key, version_id, action_id, file_id, entry, rejected_rows)
    SELECT
        f.bucket, f.key, f.version_id, of_action, f.file_id, to_jsonb(f),
        coalesce(
            (
                SELECT jsonb_agg(to_jsonb(r) - ARRAY['bucket', 'key', 'version_id', 'raw_text'] ORDER BY r.line_number)
                FROM hikyaku.rejected_rows AS r
                WHERE r.bucket = f.bucket AND r.key = f.key AND r.version_id = f.version_id
            ),
            '[]'
        )
    FROM hikyaku.files AS f
    WHERE (f.bucket = of_bucket AND f.key = of_key AND f.version_id = of_version) OR f.group_id = of_group;

    DELETE FROM hikyaku.group_parts AS p WHERE p.group_id = of_group;
    DELETE FROM hikyaku.rejected_rows AS r
    USING hikyaku.forgotten AS o
    WHERE o.action_id = of_action AND r.bucket = o.bucket AND r.key = o.key AND r.version_id = o.version_id;
    DELETE FROM hikyaku.files AS f
    USING hikyaku.forgotten AS o
    WHERE o.action_id = of_action AND f.bucket = o.bucket AND f.key = o.key AND f.version_id = o.version_id;
    GET DIAGNOSTICS gone = ROW_COUNT;
    DELETE FROM hikyaku.groups AS g WHERE g.group_id = of_group;
    RETURN gone;
END
$$;

COMMENT ON FUNCTION hikyaku.forget IS 'Move a file, and its group if it is a part of one, from the ledger to hikyaku.forgotten. Its rows in the table stay. Returns how many files.';
REVOKE ALL ON FUNCTION hikyaku.forget(text, text, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hikyaku.forget(text, text, text, bigint) TO hikyaku_operator;
