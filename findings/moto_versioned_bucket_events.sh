#!/usr/bin/env bash
# moto 5.2.5 (server) · S3 event notifications to SQS from a bucket with versioning
#
# Expected, from AWS: an event about an object of a versioned bucket carries `versionId`, and a DELETE without a version id,
# which puts a delete marker, sends `ObjectRemoved:DeleteMarkerCreated`.
# Seen: no event carries `versionId`, and the DELETE sends nothing at all, though the marker exists. A consumer tested on
# moto alone never sees a deletion in a versioned bucket.
#
# Output seen:
#   PUT answered with a version id: True
#   events: ['ObjectCreated:Put']
#   versionId in the events: [None]
#   delete markers in the bucket: 1
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'moto[server,s3,sqs]==5.2.5' 'boto3==1.43.106' 2> "$folder/pip.log" \
  || { cat "$folder/pip.log"; exit 1; }
cat > "$folder/try.py" <<'PY'
import json

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
s3, sqs = (boto3.client(name, endpoint_url=f"http://{host}:{port}", **keys) for name in ("s3", "sqs"))
url = sqs.create_queue(QueueName="events")["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
s3.create_bucket(Bucket="lake")
s3.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
wanted = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
s3.put_bucket_notification_configuration(Bucket="lake", NotificationConfiguration={"QueueConfigurations": [wanted]})

answer = s3.put_object(Bucket="lake", Key="a", Body=b"1")
s3.delete_object(Bucket="lake", Key="a")
records = []
while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
    for message in found:
        records += json.loads(message["Body"]).get("Records", [])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
names = [record["eventName"] for record in records]
versions = [record["s3"]["object"].get("versionId") for record in records]
markers = s3.list_object_versions(Bucket="lake").get("DeleteMarkers", [])
print("PUT answered with a version id:", "VersionId" in answer)
print("events:", names)
print("versionId in the events:", versions)
print("delete markers in the bucket:", len(markers))
server.stop()
assert "VersionId" in answer and len(markers) == 1
assert names == ["ObjectCreated:Put"] and versions == [None], "moto has changed"
PY
"$folder/venv/bin/python" "$folder/try.py" 2> "$folder/server.log" || { cat "$folder/server.log"; exit 1; }
