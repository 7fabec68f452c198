-- How a file stands that is staged, now that its table is ours.
-- duplicate: is this content what is loaded already?
-- A key that was loaded before is compared with its latest version only: content A, then B, then A again must load A again.
-- Where a file is the whole table, only the one loaded last counts. skip: content loaded under other keys counts as well.
-- repeated: was other content loaded under the sender's number of this file? Asked only where that is wrong.
SELECT
    (/* superseded.sql */) AS superseded,
    CASE
        WHEN %(whole_table)s::boolean THEN coalesce((
            SELECT
                f.content_sha256 = %(content_sha256)s::text
                AND (%(skip)s::boolean OR (f.bucket, f.key) = (%(bucket)s::text, %(key)s::text))
            FROM hikyaku.files AS f
            WHERE f.dataset = %(dataset)s AND f.status = 'loaded' AND f.target = %(target)s
            ORDER BY f.loaded_at DESC
            LIMIT 1
        ), false)
        ELSE coalesce(
            (
                SELECT f.content_sha256 = %(content_sha256)s::text
                FROM hikyaku.files AS f
                WHERE
                    f.bucket = %(bucket)s AND f.key = %(key)s AND f.version_id <> %(version_id)s
                    AND f.status IN ('loaded', 'duplicate') AND f.target = %(target)s
                ORDER BY f.updated_at DESC
                LIMIT 1
            ),
            %(skip)s::boolean AND EXISTS (
                SELECT FROM hikyaku.files AS f
                WHERE
                    f.dataset = %(dataset)s AND f.content_sha256 = %(content_sha256)s::text
                    AND f.status = 'loaded' AND f.target = %(target)s
            )
        )
    END AS duplicate,
    %(seq_is_unique)s::boolean AND EXISTS (
        SELECT FROM hikyaku.files AS f
        WHERE
            f.bucket = %(bucket)s AND split_part(f.key, '/', 2) = split_part(%(key)s::text, '/', 2)
            AND f.sender = %(sender)s AND f.seq = %(seq)s::bigint
            AND (f.signer IS NULL) = (%(signer)s::text IS NULL)
            AND f.status IN ('loaded', 'duplicate') AND f.content_sha256 <> %(content_sha256)s::text
    ) AS repeated
