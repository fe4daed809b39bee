"""The URL of a queue: its region, its account, and names that differ."""

from __future__ import annotations

import json
from pathlib import Path

import botocore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.queue_url import (
    DNS_SUFFIXES,
    DUAL_STACK_SUFFIXES,
    SUFFIX_OF_PARTITION,
    QueueHost,
    account_of,
    queue_host,
    queue_names,
    region_of,
)

IRELAND = "https://sqs.eu-west-1.amazonaws.com/111111111111/s3-events"
VIRGINIA = "https://sqs.us-east-1.amazonaws.com/111111111111/s3-events"


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/events", "eu-west-1"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/events", "us-gov-west-1"),
        ("https://sqs.eu-central-1.api.aws/123456789012/events", "eu-central-1"),
        ("https://sqs-fips.us-east-1.api.aws/123456789012/events", "us-east-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/events", "cn-north-1"),
        ("https://sqs.eusc-de-east-1.amazonaws.eu/123456789012/events", "eusc-de-east-1"),
        ("https://sqs.us-iso-east-1.c2s.ic.gov/123456789012/events", "us-iso-east-1"),
        ("https://us-east-1.queue.amazonaws.com/123456789012/events", "us-east-1"),
        ("https://queue.amazonaws.com/123456789012/events", "us-east-1"),
        ("https://vpce-0abc-def.sqs.eu-west-1.vpce.amazonaws.com/123456789012/events", "eu-west-1"),
        ("https://vpce-0abc-def-eu-west-1a.sqs.eu-west-1.vpce.amazonaws.com/123456789012/events", "eu-west-1"),
        ("https://vpce-0abc-def.sqs-fips.us-east-1.vpce.amazonaws.com/123456789012/events", "us-east-1"),
        ("http://127.0.0.1:4566/000000000000/events", None),
        ("http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/events", None),
        ("https://sqs.eu-west-1.amazonaws.com.example.org/123456789012/events", None),
        ("https://s3.eu-west-1.amazonaws.com/123456789012/events", None),
        ("https://x.sqs.eu-west-1.amazonaws.com/123456789012/events", None),
    ],
)
def test_the_region_of_a_queue_url(url: str, region: str | None) -> None:
    """All forms of SQS's endpoints; any other host names no region."""
    assert region_of(url) == region


def test_every_partition_of_botocore_is_known() -> None:
    """A sovereign or an isolated partition is no custom endpoint."""
    partitions = json.loads((Path(botocore.__file__).parent / "data/partitions.json").read_text())["partitions"]
    for outputs in (partition["outputs"] for partition in partitions):
        assert SUFFIX_OF_PARTITION[outputs["name"]] == outputs["dnsSuffix"]
        assert outputs["dualStackDnsSuffix"] in DUAL_STACK_SUFFIXES
    for suffix in DNS_SUFFIXES:
        assert queue_host(f"sqs.us-east-1.{suffix}") == QueueHost("us-east-1", "plain")
    for suffix in DUAL_STACK_SUFFIXES:
        assert queue_host(f"sqs.us-east-1.{suffix}") == QueueHost("us-east-1", "special")


@pytest.mark.parametrize(("url", "account"), [(IRELAND, "111111111111"), ("http://127.0.0.1/queue/events", "")])
def test_the_account_of_a_queue_url(url: str, account: str) -> None:
    """Twelve digits, or nothing."""
    assert account_of(url) == account


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        ([IRELAND, f"{IRELAND}-2"], ["s3-events", "s3-events-2"]),
        ([IRELAND, VIRGINIA], ["eu-west-1/111111111111/s3-events", "us-east-1/111111111111/s3-events"]),
        (
            [IRELAND, IRELAND.replace("1111/", "2222/"), f"{IRELAND}-2"],
            ["eu-west-1/111111111111/s3-events", "eu-west-1/111111112222/s3-events", "s3-events-2"],
        ),
        (["http://a:1/q/events", "http://b/q/events"], ["a:1/events", "b/events"]),
        (["http://a/1/events", "http://a/2/events"], ["http://a/1/events", "http://a/2/events"]),
    ],
)
def test_a_name_names_one_queue(urls: list[str], names: list[str]) -> None:
    """The short name where it is unique; else as much of the URL as makes the difference."""
    assert list(queue_names(urls).values()) == names


@given(
    st.sets(
        st.builds(
            "{}://{}/{}/{}{}".format,
            st.sampled_from(["http", "https"]),
            st.sampled_from(["sqs.eu-west-1.amazonaws.com", "sqs.eu-west-1.api.aws", "a", "b:1"]),
            st.sampled_from(["111111111111", "222222222222", "x"]),
            st.sampled_from(["events", "eu-west-1"]),
            st.sampled_from(["", "/"]),
        )
    )
)
def test_no_two_queues_have_one_name(urls: set[str]) -> None:
    """Whatever the URLs."""
    names = queue_names(urls)
    assert set(names) == urls
    assert len(set(names.values())) == len(urls)
