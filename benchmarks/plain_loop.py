"""The peer: the receive loop that one would write first, completed as plainly as it reads. One process, one file at a time."""

import gzip
import io
import json

import psycopg
import pyrage
from line import Line
from psycopg import sql

DONE = "CREATE TABLE IF NOT EXISTS public.plain_done (key text, version_id text, PRIMARY KEY (key, version_id))"


def run(line: Line, queue_url: str, identity: pyrage.x25519.Identity, table: str, expected: int) -> None:
    """Carry `expected` files from a queue into a table of (id, item, qty)."""
    merge = sql.SQL("INSERT INTO {0} SELECT * FROM staged ON CONFLICT (id) DO UPDATE SET item = excluded.item, qty = excluded.qty").format(
        sql.Identifier("public", table)
    )
    with psycopg.connect(line.endpoints["HIKYAKU_DATABASE_URL"]) as connection:
        connection.execute(DONE)
        connection.execute(sql.SQL("CREATE TEMP TABLE staged (LIKE {}) ON COMMIT DELETE ROWS").format(sql.Identifier("public", table)))
        connection.commit()
        done = 0
        while done < expected:
            answer = line.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=5, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                _carry(line, connection, identity, merge, json.loads(message["Body"])["detail"]["object"])
                line.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                done += 1


def _carry(line: Line, connection: psycopg.Connection, identity: pyrage.x25519.Identity, merge: sql.Composed, obj: dict[str, str]) -> None:
    body = line.s3.get_object(Bucket=line.bucket, Key=obj["key"], VersionId=obj["version-id"])["Body"].read()
    plain = io.BytesIO()
    pyrage.decrypt_io(io.BytesIO(body), plain, [identity])
    with connection.transaction():
        with connection.cursor().copy("COPY staged FROM STDIN (FORMAT csv, HEADER match)") as copy:
            copy.write(gzip.decompress(plain.getvalue()))
        connection.execute(merge)
        connection.execute("INSERT INTO public.plain_done VALUES (%s, %s)", (obj["key"], obj["version-id"]))
