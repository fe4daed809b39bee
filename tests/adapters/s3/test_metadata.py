"""Metadata of object versions over real connections: what is read, what is gone, what is denied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from subscriber.adapters.aws.http_connection import HttpResponse
from subscriber.adapters.s3 import client as client_module
from subscriber.adapters.s3.metadata import ObjectMetadata, S3MetadataReader, metadata_of
from subscriber.adapters.s3.xml_strict import read_tags
from subscriber.errors import ListingError
from tests.fixtures.aws import session_with_cached_models

HEAD = b'HTTP/1.1 200 OK\r\nETag: "abc"\r\nContent-Type: text/csv\r\nx-amz-meta-owner: ann\r\nContent-Length: 9\r\n\r\n'
NO_HEAD = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
NO_HEAD_RIGHT = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
TAGS = b"<Tagging><TagSet><Tag><Key>project</Key><Value> x&amp;y </Value></Tag></TagSet></Tagging>"


@asynccontextmanager
async def answering(answers: Sequence[bytes], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """A server that gives one answer to each request, in order; the lines of the requests."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            asked.append(head.decode().splitlines()[0])
            writer.write(answers[len(asked) - 1])

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer), name="connection")
        task.add_done_callback(lambda done: ended(done, writer))

    def ended(task: asyncio.Task[None], writer: asyncio.StreamWriter) -> None:
        if not task.cancelled():
            task.exception()  # the client has closed the connection
        writer.close()

    server = await asyncio.start_server(start, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr(client_module, "session_with_region", session_with_cached_models)
    async with server:
        yield asked


def content(status: str, body: bytes) -> bytes:
    """An answer with a body."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def fault(status: str, code: str) -> bytes:
    """An error of S3's."""
    return content(status, f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode())


async def test_metadata_takes_two_requests(aws_environment: pytest.MonkeyPatch) -> None:
    """HeadObject and GetObjectTagging of the version; what is empty is left out of the document."""
    async with answering([HEAD, content("200 OK", TAGS)], aws_environment) as asked, S3MetadataReader() as reader:
        found = await reader.read("lake", "a b", "")
    assert found == ObjectMetadata(
        etag="abc", content_type="text/csv", meta={"owner": "ann"}, tags={"project": " x&y "}
    )
    assert found.document() == {"content_type": "text/csv", "meta": {"owner": "ann"}, "tags": {"project": " x&y "}}
    assert asked == [
        "HEAD /lake/a%20b?versionId=null HTTP/1.1",
        "GET /lake/a%20b?tagging=&versionId=null HTTP/1.1",
    ]


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchVersion"])
async def test_a_missing_version_is_gone(aws_environment: pytest.MonkeyPatch, code: str) -> None:
    """The second answer says that the object is missing, and not the bucket."""
    answers = [NO_HEAD, fault("404 Not Found", code)]
    async with answering(answers, aws_environment), S3MetadataReader() as reader:
        assert await reader.read("lake", "key", "v1") is None


async def test_a_delete_marker_is_gone(aws_environment: pytest.MonkeyPatch) -> None:
    """S3 answers 405 for it, and the second request is not made."""
    answers = [b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"]
    async with answering(answers, aws_environment) as asked, S3MetadataReader() as reader:
        assert await reader.read("lake", "key", "v1") is None
    assert len(asked) == 1


async def test_a_missing_bucket_is_an_error(aws_environment: pytest.MonkeyPatch) -> None:
    """Its objects are not taken for removed."""
    answers = [NO_HEAD, fault("404 Not Found", "NoSuchBucket")]
    async with answering(answers, aws_environment), S3MetadataReader() as reader:
        with pytest.raises(ListingError, match="s3://lake/key") as caught:
            await reader.read("lake", "key", "")
    assert (caught.value.code, caught.value.is_permanent) == ("NoSuchBucket", True)


async def test_a_denied_request_names_the_right(aws_environment: pytest.MonkeyPatch) -> None:
    """The sentence has the object and the action of IAM, for each of the two requests."""
    async with answering([NO_HEAD_RIGHT], aws_environment), S3MetadataReader() as reader:
        with pytest.raises(ListingError, match=r"s3://lake/key.*s3:GetObjectVersion on it"):
            await reader.read("lake", "key", "")
    answers = [HEAD, fault("403 Forbidden", "AccessDenied")]
    async with answering(answers, aws_environment), S3MetadataReader() as reader:
        with pytest.raises(ListingError, match=r"s3://lake/key.*s3:GetObjectVersionTagging on it"):
            await reader.read("lake", "key", "")


async def test_an_object_created_between_the_requests_is_asked_for_again(aws_environment: pytest.MonkeyPatch) -> None:
    """Its tags alone are no metadata, and the error is a temporary one."""
    async with answering([NO_HEAD, content("200 OK", TAGS)], aws_environment), S3MetadataReader() as reader:
        with pytest.raises(ListingError) as caught:
            await reader.read("lake", "key", "")
    assert (caught.value.code, caught.value.is_permanent) == ("ObjectChanged", False)


def test_headers_become_the_parts_of_a_document() -> None:
    """Names in any case; encoded words of S3 and UTF-8 of other stores are the same text."""
    headers = (
        (b"X-Amz-Meta-Owner", b"=?UTF-8?B?w6k=?="),
        (b"x-amz-meta-team", "é".encode()),
        (b"x-amz-meta-odd", b"=?x?y?z?="),
        (b"x-amz-checksum-crc64nvme", b"AAAAAAAAAAA="),
        (b"x-amz-checksum-type", b"FULL_OBJECT"),
        (b"x-amz-server-side-encryption", b"aws:kms"),
        (b"x-amz-object-lock-mode", b"COMPLIANCE"),
    )
    assert metadata_of(HttpResponse(200, headers, b"")) == ObjectMetadata(
        etag="",
        meta={"owner": "é", "team": "é", "odd": "=?x?y?z?="},
        checksum={"crc64nvme": "AAAAAAAAAAA=", "type": "FULL_OBJECT"},
        encryption={"method": "aws:kms"},
        object_lock={"mode": "COMPLIANCE"},
    )


@pytest.mark.parametrize("body", [b"", b"<Tagging>", b"<Error/>", TAGS[:-3]])
def test_what_is_no_set_of_tags_is_rejected(body: bytes) -> None:
    """A page of a proxy or a cut answer is no object without tags."""
    with pytest.raises(ListingError):
        read_tags(body)


def test_an_object_may_have_no_tags() -> None:
    """Also a tag without a value is one."""
    assert read_tags(b"<Tagging><TagSet/></Tagging>") == {}
    assert read_tags(b"<Tagging><TagSet><Tag><Key>a</Key><Value/></Tag></TagSet></Tagging>") == {"a": ""}
