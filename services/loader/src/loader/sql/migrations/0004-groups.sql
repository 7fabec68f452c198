-- Files that are loaded together, or not at all. Only additions: a loader of the version before works on meanwhile.
-- depends: 0002-counts

ALTER TABLE hikyaku.files
ADD COLUMN IF NOT EXISTS group_id bigint,
ADD COLUMN IF NOT EXISTS part integer;

ALTER TABLE hikyaku.files DROP CONSTRAINT IF EXISTS files_status;
ALTER TABLE hikyaku.files ADD CONSTRAINT files_status
CHECK (status IN ('loaded', 'duplicate', 'superseded', 'rejected', 'failed', 'tested', 'staged')) NOT VALID;

COMMENT ON COLUMN hikyaku.files.status IS 'loaded; duplicate: content already loaded; superseded: something newer was loaded first; staged: a part that waits for the rest of its group; rejected: never will load as it is; failed: will be tried again; tested: dry run.';
COMMENT ON COLUMN hikyaku.files.group_id IS 'The group that the file is a part of, in hikyaku.groups.';
COMMENT ON COLUMN hikyaku.files.part IS 'Which of the group''s parts it is, from 1. What a group did to its table is told by the part that came last; content_sha256 is the group''s.';

-- What goes with a group when it ends?
CREATE INDEX IF NOT EXISTS files_staged ON hikyaku.files (group_id) WHERE status = 'staged';

CREATE TABLE IF NOT EXISTS hikyaku.groups (
    group_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    sender text NOT NULL,
    signed boolean NOT NULL,
    name text NOT NULL,
    parts integer NOT NULL,
    status text NOT NULL DEFAULT 'open',
    error text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT groups_identity UNIQUE (dataset, sender, signed, name),
    CONSTRAINT groups_status CHECK (status IN ('open', 'loaded', 'duplicate', 'superseded', 'rejected', 'expired')),
    CONSTRAINT groups_error CHECK ((status IN ('rejected', 'expired')) = (error IS NOT NULL)),
    CONSTRAINT groups_parts CHECK (parts > 0)
);

COMMENT ON TABLE hikyaku.groups IS 'Files that are loaded together, or not at all. Whoever changes anything of a group holds the lock on its row.';
COMMENT ON COLUMN hikyaku.groups.group_id IS 'Short name of the group in hikyaku.files.';
COMMENT ON COLUMN hikyaku.groups.dataset IS 'The dataset.';
COMMENT ON COLUMN hikyaku.groups.sender IS 'Who signed its parts; of parts without a signature, who says to have sent them.';
COMMENT ON COLUMN hikyaku.groups.signed IS 'Whether they were signed: nobody else gets a part into a signed group.';
COMMENT ON COLUMN hikyaku.groups.name IS 'The group''s name in the manifests.';
COMMENT ON COLUMN hikyaku.groups.parts IS 'How many parts it has.';
COMMENT ON COLUMN hikyaku.groups.status IS 'open: parts are missing; loaded, duplicate, superseded: as of a file; rejected: for one of its parts, or as a whole; expired: parts did not come.';
COMMENT ON COLUMN hikyaku.groups.error IS 'One sentence for the operator. Never row data.';
COMMENT ON COLUMN hikyaku.groups.created_at IS 'When its first part came.';
COMMENT ON COLUMN hikyaku.groups.updated_at IS 'When this row last changed.';
COMMENT ON COLUMN hikyaku.groups.expires_at IS 'When it is given up unless all parts have come (group_expires in datasets.toml).';

-- Which groups are to be given up?
CREATE INDEX IF NOT EXISTS groups_open ON hikyaku.groups (expires_at) WHERE status = 'open';

CREATE TABLE IF NOT EXISTS hikyaku.group_parts (
    group_id bigint NOT NULL REFERENCES hikyaku.groups,
    part integer NOT NULL,
    bucket text NOT NULL,
    key text NOT NULL,
    version_id text NOT NULL,
    content_sha256 text NOT NULL,
    csv_bytes bigint NOT NULL,
    gzip_bytes bigint NOT NULL,
    PRIMARY KEY (group_id, part),
    FOREIGN KEY (bucket, key, version_id) REFERENCES hikyaku.files,
    CONSTRAINT group_parts_part CHECK (part > 0)
);

COMMENT ON TABLE hikyaku.group_parts IS 'The parts of each group that have come.';
COMMENT ON COLUMN hikyaku.group_parts.group_id IS 'The group.';
COMMENT ON COLUMN hikyaku.group_parts.part IS 'Which part, from 1.';
COMMENT ON COLUMN hikyaku.group_parts.bucket IS 'The file, as in hikyaku.files.';
COMMENT ON COLUMN hikyaku.group_parts.key IS 'The file, as in hikyaku.files.';
COMMENT ON COLUMN hikyaku.group_parts.version_id IS 'The file, as in hikyaku.files.';
COMMENT ON COLUMN hikyaku.group_parts.content_sha256 IS 'SHA-256 of the part''s CSV, hex.';
COMMENT ON COLUMN hikyaku.group_parts.csv_bytes IS 'Bytes of the part''s CSV.';
COMMENT ON COLUMN hikyaku.group_parts.gzip_bytes IS 'Bytes of the part''s gzip.';

CREATE TABLE IF NOT EXISTS hikyaku.part_chunks (
    group_id bigint NOT NULL,
    part integer NOT NULL,
    number integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (group_id, part, number),
    FOREIGN KEY (group_id, part) REFERENCES hikyaku.group_parts
);
-- It is compressed already.
ALTER TABLE hikyaku.part_chunks ALTER data SET STORAGE EXTERNAL;

COMMENT ON TABLE hikyaku.part_chunks IS 'What waits for the rest of its group: row data, for the loader only. It goes in the transaction that ends the group.';
COMMENT ON COLUMN hikyaku.part_chunks.group_id IS 'The group.';
COMMENT ON COLUMN hikyaku.part_chunks.part IS 'The part.';
COMMENT ON COLUMN hikyaku.part_chunks.number IS 'Order of the pieces, from 0.';
COMMENT ON COLUMN hikyaku.part_chunks.data IS 'A piece of the part''s gzip.';

CREATE OR REPLACE FUNCTION hikyaku.lacking(of_group bigint, of_parts integer) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT string_agg(CASE WHEN i.first = i.last THEN i.first::text ELSE i.first || '-' || i.last END, ', ' ORDER BY i.first)
    FROM (
        SELECT min(m.part) AS first, max(m.part) AS last
        FROM (
            SELECT n.part, n.part - row_number() OVER (ORDER BY n.part) AS island
            FROM generate_series(1, of_parts) AS n (part)
            WHERE NOT EXISTS (SELECT FROM hikyaku.group_parts AS p WHERE p.group_id = of_group AND p.part = n.part)
        ) AS m
        GROUP BY m.island
    ) AS i
$$;

COMMENT ON FUNCTION hikyaku.lacking IS 'Numbers of the parts that have not come, as 2, 5-7.';

CREATE OR REPLACE VIEW hikyaku.group_progress AS
SELECT
    g.name AS "group",
    g.dataset,
    g.sender,
    g.signed,
    g.status,
    g.parts,
    (SELECT count(*) FROM hikyaku.group_parts AS p WHERE p.group_id = g.group_id) AS arrived,
    CASE WHEN g.status = 'open' THEN hikyaku.lacking(g.group_id, g.parts) END AS lacks,
    g.created_at AS since,
    CASE WHEN g.status = 'open' THEN g.expires_at END AS expires_at,
    g.error,
    g.updated_at,
    g.group_id
FROM hikyaku.groups AS g
ORDER BY g.created_at DESC;

COMMENT ON VIEW hikyaku.group_progress IS 'The groups for people, newest first: what has come of each, and what it lacks.';

GRANT SELECT, INSERT, UPDATE ON hikyaku.groups TO hikyaku_loader;
GRANT SELECT, INSERT ON hikyaku.group_parts TO hikyaku_loader;
-- The one thing of the loader's own that goes again.
GRANT SELECT, INSERT, DELETE ON hikyaku.part_chunks TO hikyaku_loader;
GRANT SELECT ON hikyaku.groups, hikyaku.group_parts, hikyaku.group_progress TO hikyaku_operator;
-- Where it still gets every table of this schema by default (until 0005): this one holds rows of tables that it may not read.
REVOKE ALL ON hikyaku.part_chunks FROM hikyaku_operator;
