#!/usr/bin/env bash
# moto 5.2.5 · ListObjectVersions after a key marker, and versions after versioning was suspended
#
# Expected, from the S3 API: with KeyMarker alone a page begins after all versions of that key. From the S3 user guide ("Adding
# objects to versioning-suspended buckets"): a write replaces the null version and leaves the other versions.
# Seen: the page begins with the oldest version of the marker's key. The write after suspending drops every older version.
#
# Output seen:
#   after the marker a: ['a', 'b', 'b']
#   versions before and after a write to the suspended bucket: 2, 1
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'moto[s3]==5.2.5' 'boto3==1.43.106' 2> "$folder/pip.log" \
  || { cat "$folder/pip.log"; exit 1; }
cat > "$folder/try.py" <<'PY'
import os

os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
import boto3
from moto import mock_aws

with mock_aws():
    s3 = boto3.client("s3")
    for bucket in ("lake", "archive"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "a", "b", "b"):
        s3.put_object(Bucket="lake", Key=key, Body=b"1")
    page = s3.list_object_versions(Bucket="lake", KeyMarker="a")
    after = [version["Key"] for version in page["Versions"]]
    print("after the marker a:", after)
    for _ in range(2):
        s3.put_object(Bucket="archive", Key="a", Body=b"1")
    before = len(s3.list_object_versions(Bucket="archive")["Versions"])
    s3.put_bucket_versioning(Bucket="archive", VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket="archive", Key="a", Body=b"2")
    left = len(s3.list_object_versions(Bucket="archive")["Versions"])
    print(f"versions before and after a write to the suspended bucket: {before}, {left}")
assert after == ["a", "b", "b"] and (before, left) == (2, 1), "moto has changed"
PY
"$folder/venv/bin/python" "$folder/try.py"
