#!/usr/bin/env bash
# LocalStack 4.13.1 (S3) · ListObjectsV2 in pages with EncodingType=url, of keys that URL encoding changes
#
# Expected, from the S3 API: the continuation token leads to the next keys, whatever the encoding of the answer. boto3's
# clients ask for EncodingType=url by themselves.
# Seen: the token leads to another place. Keys with `é` or `+` end after the first page, which says that there is more: the
# rest is lost without an error. Keys with a space come back to the first page for ever. Plain keys are right.
#
# Output seen:
#   plain: 3 pages, 8 of 8 keys, the last page is complete: True
#   é: 2 pages, 3 of 8 keys, the last page is complete: True
#   +: 2 pages, 3 of 8 keys, the last page is complete: True
#   space: 6 pages, 3 of 8 keys, the last page is complete: False
set -euo pipefail
folder=$(mktemp -d); trap 'kill ${server:-} 2> /dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'localstack-core[runtime]==4.13.1' pyopenssl==25.1.0 'cryptography<46' \
  'service_identity<24.3' 'cbor2<5.8' 2> "$folder/pip.log" || { cat "$folder/pip.log"; exit 1; }
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
(cd "$folder" && exec env SKIP_SSL_CERT_DOWNLOAD=1 DNS_ADDRESS=0 DISABLE_EVENTS=1 SERVICES=s3 GATEWAY_LISTEN="127.0.0.1:$port" \
  HOME="$folder" TMPDIR="$folder" "$folder/venv/bin/python" -m localstack.runtime.main) > "$folder/server.log" 2>&1 &
server=$!
cat > "$folder/try.py" <<'PY'
import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", **keys)
for attempt in range(300):
    try:
        s3.list_buckets()
        break
    except (BotoCoreError, ClientError):
        time.sleep(0.2)
seen = {}
for number, (name, text) in enumerate({"plain": "k", "é": "é", "+": "a+b", "space": "a b"}.items()):
    bucket = f"bucket-{number}"
    s3.create_bucket(Bucket=bucket)
    for digit in range(8):
        s3.put_object(Bucket=bucket, Key=f"{text}{digit}", Body=b"1")
    listed, pages, token = set(), 0, {}
    while pages < 6:
        page = s3.list_objects_v2(Bucket=bucket, MaxKeys=3, EncodingType="url", **token)
        pages += 1
        listed |= {entry["Key"] for entry in page.get("Contents", [])}
        if not page["IsTruncated"]:
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    seen[name] = (pages, len(listed), not page["IsTruncated"])
    print(f"{name}: {pages} pages, {len(listed)} of 8 keys, the last page is complete: {seen[name][2]}")
assert seen == {"plain": (3, 8, True), "é": (2, 3, True), "+": (2, 3, True), "space": (6, 3, False)}, "LocalStack has changed"
PY
"$folder/venv/bin/python" "$folder/try.py" "$port" 2> "$folder/try.log" || { tail -20 "$folder/try.log" "$folder/server.log"; exit 1; }
