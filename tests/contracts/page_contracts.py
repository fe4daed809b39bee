"""What S3 does when a bucket is listed: the form of pages, the rest of a bucket, and errors.

`expected` is what S3 answers, by its API reference (also "Error responses") and, where that is silent, by answers of S3
that users published.
"""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from xml.etree import ElementTree as ET

from testkit.s3.raw_client import RawS3
from tests.contracts.listing_contract import OBJECTS, VERSIONS, contract, failure, put, set_versioning

# ---------------------------------------------------------------- form


@contract("Key VersionId IsLatest LastModified ETag ChecksumAlgorithm ChecksumType Size Owner StorageClass")
def elements_of_a_version(s3: RawS3, bucket: str) -> str:
    """Names and order of the elements of a version."""
    put(s3, bucket, "a")
    return _elements(s3.call("GET", bucket, VERSIONS).body, "Version")


@contract("Key LastModified ETag ChecksumAlgorithm ChecksumType Size StorageClass")
def elements_of_an_object(s3: RawS3, bucket: str) -> str:
    """Names and order of the elements of an object."""
    put(s3, bucket, "a")
    return _elements(s3.call("GET", bucket, OBJECTS).body, "Contents")


@contract("Key VersionId IsLatest LastModified Owner", is_versioned=True)
def elements_of_a_delete_marker(s3: RawS3, bucket: str) -> str:
    """Names and order of the elements of a delete marker."""
    s3.call("DELETE", f"{bucket}/a")
    return _elements(s3.call("GET", bucket, VERSIONS).body, "DeleteMarker")


@contract("Name Prefix KeyMarker VersionIdMarker NextKeyMarker NextVersionIdMarker MaxKeys EncodingType IsTruncated")
def elements_of_a_page_of_versions(s3: RawS3, bucket: str) -> str:
    """Names and order of the elements before the entries of a page that is followed by another one."""
    put(s3, bucket, "a", "b")
    return " ".join(s3.page(bucket, {**VERSIONS, "max-keys": "1"}).elements)


@contract("Name Prefix NextContinuationToken KeyCount MaxKeys EncodingType IsTruncated")
def elements_of_a_page_of_objects(s3: RawS3, bucket: str) -> str:
    """Names and order of the elements before the entries of a page that is followed by another one."""
    put(s3, bucket, "a", "b")
    return " ".join(s3.page(bucket, {**OBJECTS, "max-keys": "1"}).elements)


def _elements(body: bytes, name: str) -> str:
    root = ET.fromstring(body)
    found = next((element for element in root if element.tag.rpartition("}")[2] == name), ET.Element("none"))
    return " ".join(child.tag.rpartition("}")[2] for child in found)


@contract("whole seconds, .000Z")
def last_modified_has_whole_seconds(s3: RawS3, bucket: str) -> str:
    """A listing tells whole seconds, with three zeros behind them."""
    put(s3, bucket, *"abcdefgh")
    texts = re.findall(
        r"<LastModified>[\d-]{10}T[\d:]{8}(.*?)</LastModified>", s3.call("GET", bucket, VERSIONS).body.decode()
    )
    if len(texts) == 8 and set(texts) == {".000Z"}:
        return "whole seconds, .000Z"
    return "milliseconds" if any(re.fullmatch(r"\.\d{3}Z", text) for text in texts) else str(sorted(set(texts)))


@contract("the same in PUT, listing and HEAD")
def etags_have_quotes(s3: RawS3, bucket: str) -> str:
    """The ETag is in double quotes everywhere."""
    reply = s3.call("PUT", f"{bucket}/a", body=b"a")
    entry = ET.fromstring(s3.call("GET", bucket, VERSIONS).body).find(".//{*}ETag")
    head = s3.call("HEAD", f"{bucket}/a").headers["etag"]
    told = [reply.headers["etag"], "" if entry is None else entry.text, head]
    return "the same in PUT, listing and HEAD" if len(set(told)) == 1 and head.startswith('"') else str(told)


@contract("within 5 s")
def answers_carry_the_time(s3: RawS3, bucket: str) -> str:
    """HeadBucket and a listing have the header Date."""
    replies = [s3.call("HEAD", bucket), s3.call("GET", bucket, VERSIONS)]
    moments = [parsedate_to_datetime(reply.headers["date"]).timestamp() for reply in replies if "date" in reply.headers]
    return "within 5 s" if len(moments) == 2 and all(abs(each - time.time()) < 5 for each in moments) else str(moments)


# ---------------------------------------------------------------- the rest of a bucket


@contract(["", "Enabled", "Suspended"])
def versioning_is_told(s3: RawS3, bucket: str) -> list[str]:
    """GetBucketVersioning has no status before versioning was enabled once."""
    told = []
    for status in ("", "Enabled", "Suspended"):
        if status:
            set_versioning(s3, bucket, status)
        told.append(ET.fromstring(s3.call("GET", bucket, {"versioning": ""}).body).findtext("{*}Status") or "")
    return told


@contract(["", "us-east-1"])
def the_region_is_told(s3: RawS3, bucket: str) -> list[str]:
    """The location of us-east-1 is empty; HeadBucket names it in a header."""
    location = ET.fromstring(s3.call("GET", bucket, {"location": ""}).body).text or ""
    return [location, s3.call("HEAD", bucket).headers.get("x-amz-bucket-region", "")]


@contract("empty")
def a_new_bucket_notifies_nobody(s3: RawS3, bucket: str) -> str:
    """GetBucketNotificationConfiguration has no elements at first."""
    return "empty" if not len(ET.fromstring(s3.call("GET", bucket, {"notification": ""}).body)) else "something"


@contract(["body", "4", "404 NoSuchKey", "404"])
def small_objects_are_read(s3: RawS3, bucket: str) -> list[str]:
    """GetObject and HeadObject, of a key that exists and of one that does not."""
    s3.call("PUT", f"{bucket}/data/a b+c", body=b"body")
    found = s3.call("GET", f"{bucket}/data/a b+c").body.decode()
    length = s3.call("HEAD", f"{bucket}/data/a b+c").headers["content-length"]
    return [found, length, failure(s3.send("GET", f"{bucket}/none")), failure(s3.send("HEAD", f"{bucket}/none"))]


# ---------------------------------------------------------------- errors


@contract(["404 NoSuchBucket", "404 NoSuchBucket", "404"])
def a_missing_bucket_is_named(s3: RawS3, bucket: str) -> list[str]:
    """Both listings and HeadBucket say that there is no bucket."""
    gone = f"{bucket}-nowhere"
    replies = [s3.send("GET", gone, VERSIONS), s3.send("GET", gone, OBJECTS), s3.send("HEAD", gone)]
    return [failure(reply) for reply in replies]


@contract(["400 InvalidArgument"] * 5)
def parameters_are_checked(s3: RawS3, bucket: str) -> list[str]:
    """No number, a negative one, another encoding, a token of another server, a version marker without its key."""
    queries: list[dict[str, str]] = [
        {**OBJECTS, "max-keys": "many"},
        {**OBJECTS, "max-keys": "-1"},
        {**OBJECTS, "encoding-type": "base64"},
        {**OBJECTS, "continuation-token": "no token"},
        {**VERSIONS, "version-id-marker": "v1"},
    ]
    return [failure(s3.send("GET", bucket, query)) for query in queries]


@contract(["403 AccessDenied", "403 SignatureDoesNotMatch", "403 InvalidAccessKeyId"])
def signatures_are_verified(s3: RawS3, bucket: str) -> list[str]:
    """Without a signature, with another secret, with an unknown key."""
    clients = [
        s3.with_credentials("", ""),
        s3.with_credentials("local", "wrong"),
        s3.with_credentials("nobody", "local"),
    ]
    replies = []
    for client in clients:
        with client:
            replies.append(client.send("GET", bucket, VERSIONS))
    return [failure(reply) for reply in replies]
