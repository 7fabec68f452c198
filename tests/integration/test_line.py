"""The whole line on real servers: what a sender puts in S3 is in PostgreSQL, exactly once."""

import json
from dataclasses import replace

import pytest
from line import Line, Put, encrypt, eventually, gzipped
from pyrage import x25519

ORDERS = "id int PRIMARY KEY, item text, qty int"


def rows(line: Line, table: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in line.sql(f"SELECT * FROM public.{table} ORDER BY 1")]


def test_a_file_put_in_s3_is_in_its_table_and_proven_in_the_ledger(line: Line) -> None:
    table = line.table(ORDERS)
    put = line.send(table, "id,item,qty\n1,座布団,5\n2,提灯,12\n".encode())
    row = line.fate(put)
    assert rows(line, table) == [(1, "座布団", 5), (2, "提灯", 12)]
    assert (row["status"], row["rows_loaded"], row["dataset"], row["etag"]) == ("loaded", 2, table, put.etag)
    assert row["size_bytes"] == put.size
    assert row["recipient_identity"]
    assert len(row["sha256"]) == 64
    assert row["received_at"] <= row["loaded_at"]
    line.quiet()


def test_the_object_is_encrypted_under_the_stacks_own_kms_key(line: Line) -> None:
    table = line.table(ORDERS)
    put = line.send(table, b"id,item,qty\n1,a,1\n")
    head = line.s3.head_object(Bucket=line.bucket, Key=put.key)
    assert head["ServerSideEncryption"] == "aws:kms"
    assert ":key/" in head["SSEKMSKeyId"]
    assert line.fate(put)["status"] == "loaded"


@pytest.mark.parametrize("name", ["two words", "a+b", "100%25", "50%", "注文 2026年11月", "quote'\"&<x>", "a%2Bb"])
def test_keys_of_every_kind_find_their_object(line: Line, name: str) -> None:
    table = line.table(ORDERS)
    put = line.send(table, b"id,item,qty\n1,a,1\n", name=name)
    assert line.fate(put)["status"] == "loaded"
    assert rows(line, table) == [(1, "a", 1)]


def test_the_same_event_ten_times_at_once_is_one_load(line: Line) -> None:
    table = line.table("id int, item text")
    line.configure(f'[datasets.{table}]\nmode = "append"\n')
    with line.silence():
        put = line.send(table, b"id,item\n1,a\n2,b\n")
    for _ in range(10):
        line.announce(put)
    assert line.fate(put)["status"] == "loaded"
    line.quiet()
    assert len(line.sql("SELECT 1 FROM hikyaku.files WHERE key = %s", put.key)) == 1
    assert line.ledger(put)["rows_loaded"] == 2  # type: ignore[index]
    assert rows(line, table) == [(1, "a"), (2, "b")]
    assert line.dead_letters() == {}


def test_an_older_version_after_a_newer_one_is_superseded(line: Line) -> None:
    table = line.table(ORDERS)
    with line.silence():
        older = line.send(table, b"id,item,qty\n1,old,1\n", name="stock")
        newer = line.send(table, b"id,item,qty\n1,new,2\n", name="stock")
    line.announce(newer, sequencer="0A1")
    assert line.fate(newer)["status"] == "loaded"
    line.announce(older, sequencer="0A")
    assert line.fate(older)["status"] == "superseded"
    assert rows(line, table) == [(1, "new", 2)]
    line.quiet()


def test_the_same_content_again_is_a_duplicate_but_a_return_to_it_is_not(line: Line) -> None:
    table = line.table(ORDERS)
    first, second = b"id,item,qty\n1,a,1\n", b"id,item,qty\n1,b,2\n"
    assert line.fate(line.send(table, first, name="x"))["status"] == "loaded"
    assert line.fate(line.send(table, first, name="x"))["status"] == "duplicate"
    assert line.fate(line.send(table, first, name="another key"))["status"] == "duplicate"
    assert line.fate(line.send(table, second, name="x"))["status"] == "loaded"
    assert line.fate(line.send(table, first, name="x"))["status"] == "loaded"
    assert rows(line, table) == [(1, "a", 1)]


def test_corrected_content_under_the_same_key_loads_after_a_rejection(line: Line) -> None:
    table = line.table(ORDERS)
    assert line.fate(line.send(table, b"id,item,qty\n1,a,many\n", name="x"))["error_code"] == "value_invalid"
    assert line.fate(line.send(table, b"id,item,qty\n1,a,3\n", name="x"))["status"] == "loaded"
    assert rows(line, table) == [(1, "a", 3)]


def bad_files(line: Line) -> dict[str, bytes]:
    """Body by the error_code that it must meet."""
    good = line.seal(b"id,item,qty\n1,a,1\n")
    flipped = bytearray(good)
    flipped[-5] ^= 1
    return {
        "ciphertext_corrupt": bytes(flipped),
        "age_header_invalid": b"not age at all",
        "no_matching_identity": encrypt(gzipped(b"id,item,qty\n1,a,1\n"), str(x25519.Identity.generate().to_public())),
        "gzip_invalid": encrypt(b"id,item,qty\n1,a,1\n", line.world.recipient),
        "columns_mismatch": line.seal(b"id,item\n1,a\n"),
        "csv_malformed": line.seal(b"id,item,qty\n1,a,1\n2,b\n"),
        "encoding_invalid": line.seal("id,item,qty\n1,座布団,1\n".encode("cp932")),
        "value_invalid": line.seal(b"id,item,qty\n1,SECRETMARKER,SECRETMARKER\n"),
        "duplicate_keys": line.seal(b"id,item,qty\n1,a,1\n1,b,2\n"),
    }


def test_every_bad_file_is_rejected_with_its_code_and_reaches_the_dead_letter_queue(line: Line) -> None:
    table = line.table(ORDERS)
    puts = {code: line.put(f"incoming/{table}/{code}.csv.gz.age", body) for code, body in bad_files(line).items()}
    puts["table_unknown"] = line.send("no_such_table", b"id\n1\n")
    for code, put in puts.items():
        row = line.fate(put)
        assert (row["status"], row["error_code"]) == ("rejected", code)
        assert "SECRETMARKER" not in (row["error"] or "")
    logs = "".join(path.read_text(encoding="utf-8", errors="replace") for path in (line.folder / "logs").iterdir())
    assert "SECRETMARKER" not in logs
    line.quiet()
    eventually(lambda: line.messages(line.dlq_url) == len(puts), what="all rejected messages are in the dead-letter queue")
    assert rows(line, table) == []


def test_an_object_that_is_gone_is_rejected_as_missing(line: Line) -> None:
    table = line.table(ORDERS)
    with line.silence():
        put = line.send(table, b"id,item,qty\n1,a,1\n")
    line.s3.delete_object(Bucket=line.bucket, Key=put.key, VersionId=put.version_id)
    line.announce(put)
    assert line.fate(put)["error_code"] == "object_missing"


@pytest.mark.parametrize("name", ["plain", "two words"])
@pytest.mark.parametrize("wish", ["tag", "delete"])
def test_what_is_loaded_is_tagged_or_deleted_before_its_message_goes(line: Line, wish: str, name: str) -> None:
    table = line.table(ORDERS)
    line.configure(f'[datasets.{table}]\nafter_load = "{wish}"\n')
    bad, stays = line.send(table, b"id,item,qty\n1,a,many\n", name=name), line.send("no_such_table", b"id\n1\n")
    assert line.fate(bad)["status"] == "rejected"
    key, body = bad.key, line.seal(b"id,item,qty\n1,a,1\n")
    answer = line.s3.put_object(Bucket=line.bucket, Key=key, Body=body, Tagging="cost=12")
    put = Put(key, answer["VersionId"], answer["ETag"].strip('"'), len(body))
    assert line.fate(put)["status"] == "loaded"
    line.quiet()
    # The event again: the ledger knows the file, though its object may be gone.
    line.announce(replace(put, key=put.key.replace(" ", "%20")))
    line.quiet()
    assert line.ledger(put)["attempts"] == 1  # type: ignore[index]
    there = {version["VersionId"] for version in line.s3.list_object_versions(Bucket=line.bucket, Prefix="incoming/")["Versions"]}
    assert {bad.version_id, stays.version_id} <= there
    assert (put.version_id in there) is (wish == "tag")
    if wish == "tag":
        tags = line.s3.get_object_tagging(Bucket=line.bucket, Key=put.key, VersionId=put.version_id)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"cost": "12", "hikyaku": "loaded"}
    assert rows(line, table) == [(1, "a", 1)]
    # Of a test before, a dead letter may come late.
    assert line.dead_letters().keys() >= {bad.key.replace(" ", "%20"), stays.key}


def native(put: Put, bucket: str, key: str) -> str:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-11-24T00:00:00.000Z",
        "s3": {
            "bucket": {"name": bucket},
            "object": {"key": key, "size": put.size, "eTag": put.etag, "versionId": put.version_id, "sequencer": "00"},
        },
    }
    return json.dumps({"Records": [record]})


def test_a_native_s3_notification_loads_and_foreign_messages_are_taken_away(line: Line) -> None:
    table = line.table(ORDERS)
    with line.silence():
        put = line.send(table, b"id,item,qty\n1,a,1\n", name="a b+c")
    bodies = [
        native(put, line.bucket, put.key.replace("+", "%2B").replace(" ", "+")),
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": line.bucket}),
        native(put, "somebody-elses-bucket", put.key),
        native(put, line.bucket, "outgoing/x.txt"),
    ]
    for body in bodies:
        line.sqs.send_message(QueueUrl=line.queue_url, MessageBody=body)
    assert line.fate(put)["status"] == "loaded"
    line.quiet()
    assert line.messages(line.dlq_url) == 0


def test_a_message_that_is_no_event_goes_to_the_dead_letter_queue(line: Line) -> None:
    line.sqs.send_message(QueueUrl=line.queue_url, MessageBody="hello")
    letters = eventually(line.world.dead_letters, what="the message is in the dead-letter queue")
    assert [(letter.body, letter.error_code) for letter in letters] == [("hello", "event_invalid")]


def test_a_dry_run_goes_all_the_way_and_leaves_nothing(line: Line) -> None:
    table = line.table(ORDERS)
    put = line.put(f"incoming/test/{table}/x.csv.gz.age", line.seal(b"id,item,qty\n1,a,1\n"))
    row = line.fate(put)
    assert (row["status"], row["rows_loaded"], row["dataset"]) == ("tested", 1, table)
    assert rows(line, table) == []


def test_two_hundred_files_at_once(line: Line) -> None:
    table = line.table(ORDERS)
    puts = []
    for n in range(200):
        body = "".join(f"{n * 100 + i},item {i},{i}\n" for i in range(100))
        puts.append(line.send(table, f"id,item,qty\n{body}".encode(), name=f"{n:03}"))
    loaded = "SELECT count(*) AS n FROM hikyaku.files WHERE dataset = %s AND status = 'loaded'"
    eventually(lambda: line.sql(loaded, table)[0]["n"] == len(puts), what="all are loaded")
    line.quiet()
    assert line.messages(line.dlq_url) == 0
    assert line.sql(f"SELECT count(*) AS n, count(DISTINCT id) AS d FROM public.{table}") == [{"n": 20000, "d": 20000}]
    assert line.sql("SELECT status, count(*) AS n FROM hikyaku.files WHERE dataset = %s GROUP BY 1", table) == [
        {"status": "loaded", "n": 200}
    ]


def test_a_redriven_message_loads_once_the_host_is_mended(line: Line) -> None:
    name = "t_made_later"
    put = line.send(name, b"id,item,qty\n1,a,1\n")
    assert line.fate(put)["error_code"] == "table_unknown"
    line.table(ORDERS, name=name)
    line.announce(put)
    row = line.fate(put, "loaded")
    assert row["attempts"] == 2
    assert rows(line, name) == [(1, "a", 1)]
