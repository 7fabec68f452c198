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
