#!/usr/bin/env bash
# ministack 1.5.33 · ListObjectVersions, page by page, of a bucket without versioning
#
# Expected, from the S3 API: a page that is asked for with KeyMarker and VersionIdMarker begins after that version, so the
# pages together name each version once.
# Seen: every page after the first begins with the marker's own version (`null`) once more. A lister that counts, or that
# inserts what it is given, has one entry too many per page.
#
# Output seen:
#   objects put: 12, page size: 5
#   entries on 3 pages: 14
#   named twice: ['k04', 'k08']
set -euo pipefail
folder=$(mktemp -d); trap 'kill ${server:-} 2> /dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ministack==1.5.33 boto3==1.43.106 2> "$folder/pip.log" \
  || { cat "$folder/pip.log"; exit 1; }
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
(cd "$folder" && exec env GATEWAY_PORT="$port" HOST=127.0.0.1 PERSIST_STATE=0 "$folder/venv/bin/ministack") > "$folder/server.log" 2>&1 &
server=$!
cat > "$folder/try.py" <<'PY'
import sys
import time
from collections import Counter

import boto3
from botocore.exceptions import BotoCoreError, ClientError

keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", **keys)
for attempt in range(100):
    try:
        s3.create_bucket(Bucket="lake")
        break
    except (BotoCoreError, ClientError):
        time.sleep(0.2)
for number in range(12):
    s3.put_object(Bucket="lake", Key=f"k{number:02}", Body=b"1")
entries, pages, marker = [], 0, {}
while pages < 20:
    page = s3.list_object_versions(Bucket="lake", MaxKeys=5, **marker)
    pages += 1
    entries += [version["Key"] for version in page.get("Versions", [])]
    if not page["IsTruncated"]:
        break
    marker = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
twice = sorted(key for key, count in Counter(entries).items() if count > 1)
print("objects put: 12, page size: 5")
print(f"entries on {pages} pages: {len(entries)}")
print("named twice:", twice)
assert len(set(entries)) == 12 and len(entries) > 12 and twice, "ministack has changed"
PY
"$folder/venv/bin/python" "$folder/try.py" "$port"
