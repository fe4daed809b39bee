#!/usr/bin/env bash
# LocalStack runs it when it is ready. It creates the queue, its dead-letter queue and the bucket from the files for ECS.
set -euo pipefail
filled=$(mktemp -d)
python3 /config/ecs/fill.py /config/compose/values.env "$filled"
awslocal sqs create-queue --cli-input-json "file://$filled/dead-letter-queue.json"
awslocal sqs create-queue --cli-input-json "file://$filled/queue.json"
awslocal s3api create-bucket --bucket lake-raw
awslocal s3api put-bucket-notification-configuration --cli-input-json "file://$filled/bucket-notification.json"
