"""Asks a table in Parquet and compares with the log that it was made from.

ask_parquet.py TABLE docs/export.md LOG
"""
import collections
import json
import re
import sys

import duckdb

table, doc, log = sys.argv[1:]
lines = [json.loads(line) for line in open(log)]
counts = collections.Counter(line["type"] for line in lines)


def ask(query):
    return duckdb.sql(query.replace("trace.parquet", table)).fetchall()


def same(got, wanted):
    assert got == wanted, f"got {got}, the log has {wanted}"


same(dict(ask("SELECT type, count(*) FROM 'trace.parquet' GROUP BY 1")), dict(counts))
same(ask("SELECT DISTINCT typeof(ts) LIKE 'TIMESTAMP%' FROM 'trace.parquet'"), [(True,)])
same(
    ask("SELECT boot_ns FROM 'trace.parquet'"),
    [(line["boot_ns"],) for line in lines],
)
# To the microsecond: Python knows no finer ones.
same(
    ask("SELECT strftime(ts AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S') FROM 'trace.parquet'"),
    [(line["ts"][:19],) for line in lines],
)

forks, waits, hangs = (
    ask(query) for query in re.findall(r"```sql\n(.*?)```", open(doc).read(), re.S)
)
same(
    sorted((comm, n) for _, comm, n in forks),
    sorted(collections.Counter(
        line["comm"] for line in lines if line["type"] == "process.fork").items()),
)
longest = max(
    line["boot_ns"] - line["enter_ns"] for line in lines if line["type"] == "futex.wait")
found = [line for line in lines if line["type"] == "finding"]
futex, kind, _, seconds = waits[0]
same((futex, kind), (found[0]["lock"]["futex"], found[0]["lock"]["kind"]))
same(round(seconds * 1e9), longest)
same([row[1:] for row in hangs], [
    (found[0]["fork"]["by_pid"], "certain", len({line["pid"] for line in found})),
])
