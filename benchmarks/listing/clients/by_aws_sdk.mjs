// The AWS SDK for JavaScript: `node by_aws_sdk.mjs versions lake`. s3p (npm) lists by it too, in ranges.
import { createRequire } from "node:module";
import path from "node:path";
import { performance } from "node:perf_hooks";

// An ES module is not looked up in the working directory, where the packages are.
const require = createRequire(path.join(process.cwd(), "package.json"));
const { ListObjectVersionsCommand, ListObjectsV2Command, S3Client } = require("@aws-sdk/client-s3");

const [operation, Bucket] = process.argv.slice(2);
const client = new S3Client({ forcePathStyle: true, endpoint: process.env.AWS_ENDPOINT_URL });
const wanted = { Bucket, EncodingType: "url" };
const decode = (text) => text && decodeURIComponent(text.replaceAll("+", " "));
let entries = 0;
let next = {};

const start = performance.now();
const cpu = process.cpuUsage();
do {
  if (operation === "versions") {
    const page = await client.send(new ListObjectVersionsCommand({ ...wanted, ...next }));
    entries += (page.Versions ?? []).length + (page.DeleteMarkers ?? []).length;
    next = page.IsTruncated && { KeyMarker: decode(page.NextKeyMarker), VersionIdMarker: page.NextVersionIdMarker };
  } else {
    const page = await client.send(new ListObjectsV2Command({ ...wanted, ...next }));
    entries += (page.Contents ?? []).length;
    next = page.IsTruncated && { ContinuationToken: page.NextContinuationToken };
  }
} while (next);
const { user, system } = process.cpuUsage(cpu);
console.log(JSON.stringify({ entries, seconds: (performance.now() - start) / 1e3, cpu_seconds: (user + system) / 1e6 }));
