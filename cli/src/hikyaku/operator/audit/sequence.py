"""What is missing in the senders' counts, by the ledger's view of them."""

import datetime as dt
from collections.abc import Iterator

import psycopg
from psycopg.rows import DictRow

from hikyaku.operator.audit.finding import Finding, Kind
from hikyaku.operator.inventory.bucket import INCOMING

GAPS = """
SELECT folder, sender, signed, missing_count, missing, last_event_time
FROM hikyaku.sender_sequence
WHERE bucket = %(bucket)s AND missing_count > 0 AND last_event_time >= %(since)s
AND (starts_with(%(incoming)s || folder || '/', %(prefix)s) OR starts_with(%(prefix)s, %(incoming)s || folder || '/'))
"""


def gaps(connection: psycopg.Connection[DictRow], bucket: str, prefix: str, since: dt.datetime) -> Iterator[Finding]:
    """A finding for each sender and folder with numbers of which no file was opened."""
    for row in connection.execute(GAPS, {"bucket": bucket, "prefix": prefix, "since": since, "incoming": INCOMING}):
        signed = "" if row["signed"] else " (by its own word: unsigned)"
        what = f"{row['sender']}{signed} has sent no file with number {row['missing']}: {row['missing_count']} in all"
        mend = f"ask {row['sender']} for them; what is listed as never_loaded or no_letter may be among them"
        yield Finding(Kind.SEQ_GAP, f"{INCOMING}{row['folder']}/", what, mend)
