"""What `audit export` writes, read by DuckDB and by Python: the same records in each format, whole and typed."""

import csv
import datetime
import json
import random
import subprocess

import duckdb
import pytest

from conftest import BINARY

RECORDS = 7_000
FLAT = {
    "user_id": "/user/id", "user_email": "/user/email", "user_groups": "/user/groups", "tls_version": "/tls/version",
    "tls_client_subject": "/tls/client_certificate/subject", "shadow_reason": "/shadow/reason",
    "upstream": "/upstream/endpoint", "upstream_attempts": "/upstream/attempts", "ms_total": "/ms/total",
}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
TEXTS = ["", "a", "=cmd()", 'q"uo,te', "\u00e9\u202e\u001b[31m", "-1", "'x"]


def record(chance, number):
    """A record with what the log can have, each field there or not."""
    time = EPOCH + datetime.timedelta(days=20_000, microseconds=number * 1_234_567)
    record = {"time": time.strftime(TIME), "id": f"id-{number}", "kind": "request"}
    some = {
        "route": "git", "client_ip": chance.choice(["10.8.1.4", "2001:db8::1"]), "path": chance.choice(TEXTS),
        "user": {"id": "i|1", "email": "ada@example.com", "groups": chance.choice([[], ["a"], ["a", "b c"]])},
        "query_keys": ["a", "\u00e9"], "tls": {"version": "1.3", "client_certificate": {"subject": "CN=a,O=b"}},
        "shadow": {"reason": "deny-rule-matched"}, "fields": {"team": "sre", "n": [1, None]},
        "inputs": {"request.headers.a": {"hash": "x"}}, "error": chance.choice(TEXTS), "user_agent": chance.choice(TEXTS),
        "upstream": {"endpoint": "http://10.0.0.1:1", "attempts": 2}, "grpc_status": 16,
    }
    record |= {name: value for name, value in some.items() if chance.random() < 0.7}
    return record | {"decision": "deny", "status": 403, "bytes_out": number * 1_000_000, "ms": {"total": number / 8}}


@pytest.fixture(scope="module")
def log(directory):
    """Three segments, and the records in them."""
    chance = random.Random(7)
    records = [record(chance, number) for number in range(RECORDS)]
    folder = directory / "audit"
    folder.mkdir()
    size = RECORDS // 3 + 1
    for number in range(3):
        some = records[number * size:(number + 1) * size]
        lines = "".join(json.dumps(record) + "\n" for record in some)
        (folder / f"audit-a-{number:08}-20260301T00000{number}Z.jsonl").write_text(lines)
    return folder, records


def export(folder, form, file, *more):
    command = [BINARY, "audit", "export", "--dir", folder, "--format", form, "--output", file, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"{RECORDS} records in" in done.stderr


def at(record, pointer):
    for name in pointer[1:].split("/"):
        record = (record or {}).get(name)
    return record


def test_json_has_the_records_in_their_order(log, directory):
    folder, records = log
    export(folder, "json", directory / "records.jsonl")
    assert [json.loads(line) for line in (directory / "records.jsonl").open()] == records


def test_duckdb_reads_from_parquet_what_is_in_json(log, directory):
    folder, records = log
    file = directory / "records.parquet"
    export(folder, "parquet", file)
    assert str(duckdb.sql(f"SELECT time FROM '{file}'").types[0]) == "TIMESTAMP WITH TIME ZONE"
    rows = duckdb.sql(f"SELECT * REPLACE (epoch_us(time) AS time) FROM '{file}'")
    types = dict(zip(rows.columns, map(str, rows.types)))
    assert (types["status"], types["bytes_out"], types["ms_total"]) == ("INTEGER", "BIGINT", "DOUBLE")
    assert (types["user_groups"], types["fields"]) == ("VARCHAR[]", "JSON")
    pointers = {name: FLAT.get(name, f"/{name}") for name in rows.columns if name.split("_")[0] not in
                ("user", "tls", "shadow", "upstream", "ms") or name in FLAT or name == "user_agent"}
    found = 0
    for row, expected in zip(rows.fetchall(), records, strict=True):
        row = dict(zip(rows.columns, row))
        for name, pointer in pointers.items():
            value = row[name]
            if name == "time":
                value = (EPOCH + datetime.timedelta(microseconds=value)).strftime(TIME)
            elif types[name] == "JSON" and value is not None:
                value = json.loads(value)
            assert value == at(expected, pointer), (name, row["id"])
            found += value is not None
    assert found > 10 * RECORDS


def test_csv_has_a_row_for_each_record_and_no_formula(log, directory):
    folder, records = log
    file = directory / "records.csv"
    export(folder, "csv", file)
    raw = file.read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n") == RECORDS + 1
    rows = list(csv.DictReader(file.open(newline="")))
    for row, expected in zip(rows, records, strict=True):
        path = expected.get("path", "").replace("\u202e", "\ufffd").replace("\u001b", "\ufffd")
        assert row["path"] == ("'" + path if path[:1] in ("=", "-") else path)
        assert (row["status"], row["id"]) == ("403", expected["id"])
        assert row["user_groups"] == " ".join(at(expected, "/user/groups") or [])
    # DuckDB takes it without being told how it is written.
    counted = duckdb.sql(f"SELECT count(*), sum(bytes_out) FROM read_csv('{file}')").fetchall()
    assert counted == [(RECORDS, sum(record["bytes_out"] for record in records))]
