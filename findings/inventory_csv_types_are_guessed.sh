#!/usr/bin/env bash
# pyarrow 26.0.1 and duckdb 2.0.1 · an S3 Inventory file in CSV, read with the types that the readers guess
#
# Expected: the column of keys comes back as the text that the file holds; an inventory's CSV quotes every field.
# Seen: quotes do not make text. pyarrow turns a file whose keys are digits into numbers (`000123` becomes 123), and duckdb turns a
# column of keys that look like days into DATE, so a key is not found again in the bucket. A file whose only keys are `NULL` and `NA`,
# valid names both, is a column of nulls in pyarrow. With the type of the column named all keys come back.
#
# Output seen:
#   pyarrow, keys of digits: [123, 7]
#   pyarrow, keys NULL and NA: [None, None]
#   duckdb, keys like days: DATE
#   pyarrow, with types named: ['000123', '7'] ['NULL', 'NA']
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 duckdb==2.0.1 2> "$folder/pip.log" \
  || { cat "$folder/pip.log"; exit 1; }
cat > "$folder/try.py" <<'PY'
from pathlib import Path
import sys

import duckdb
import pyarrow
from pyarrow import csv

folder = Path(sys.argv[1])


def inventory(name, keys):
    path = folder / name
    path.write_text("".join(f'"lake","{key}","5"\n' for key in keys))
    return str(path)


def keys_of(path, **convert):
    read = csv.ReadOptions(column_names=["bucket", "key", "size"])
    return csv.read_csv(path, read_options=read, convert_options=csv.ConvertOptions(**convert))["key"].to_pylist()


digits, null = inventory("digits.csv", ["000123", "7"]), inventory("null.csv", ["NULL", "NA"])
days = inventory("days.csv", ["2026-11-01", "2026-11-02"])
guessed, nulled = keys_of(digits), keys_of(null)
(found,) = {row[0] for row in duckdb.sql(f"SELECT typeof(column1) FROM read_csv('{days}', header = false)").fetchall()}
named = {"column_types": {"key": pyarrow.string()}, "strings_can_be_null": False}
right = keys_of(digits, **named), keys_of(null, **named)
print("pyarrow, keys of digits:", guessed)
print("pyarrow, keys NULL and NA:", nulled)
print("duckdb, keys like days:", found)
print("pyarrow, with types named:", *right)
assert guessed == [123, 7] and nulled == [None, None] and found == "DATE", "a reader has changed"
assert right == (["000123", "7"], ["NULL", "NA"])
PY
"$folder/venv/bin/python" "$folder/try.py" "$folder"
