"""Where requests to a bucket go: the rules are botocore's, the table is what S3's documentation says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from subscriber.adapters.s3.endpoint import BucketEndpoint, bucket_endpoint
from subscriber.errors import ConfigurationError
from tests.fixtures.aws import session_with_cached_models

AP = "arn:aws:s3:us-west-2:123456789012:accesspoint/logs"
OUTPOST = "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01/accesspoint/logs"
ALIAS = "logs-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"
MRAP = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"


@pytest.mark.parametrize(
    ("bucket", "variables", "origin", "path", "region"),
    [
        ("lake", {}, "https://lake.s3.eu-west-1.amazonaws.com", "/", "eu-west-1"),
        ("la.ke", {}, "https://s3.eu-west-1.amazonaws.com", "/la.ke", "eu-west-1"),
        ("Old_Lake", {}, "https://s3.eu-west-1.amazonaws.com", "/Old_Lake", "eu-west-1"),
        ("lake", {"AWS_REGION": "us-east-1"}, "https://lake.s3.amazonaws.com", "/", "us-east-1"),
        ("lake", {"AWS_REGION": "cn-north-1"}, "https://lake.s3.cn-north-1.amazonaws.com.cn", "/", "cn-north-1"),
        ("lake", {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_REGION": "us-east-1"},
         "https://lake.s3-fips.us-east-1.amazonaws.com", "/", "us-east-1"),
        ("lake", {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
         "https://lake.s3.dualstack.eu-west-1.amazonaws.com", "/", "eu-west-1"),
        ("lake", {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, "http://127.0.0.1:4566", "/lake", "eu-west-1"),
        ("lake", {"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "https://minio.test:9000/base"},
         "https://minio.test:9000", "/base/lake", "eu-west-1"),
        (AP, {}, "https://logs-123456789012.s3-accesspoint.us-west-2.amazonaws.com", "/", "us-west-2"),
        (AP, {"AWS_ENDPOINT_URL_S3": "https://vpce-1.s3.us-west-2.vpce.amazonaws.com"},
         "https://logs-123456789012.vpce-1.s3.us-west-2.vpce.amazonaws.com", "/", "us-west-2"),
        (ALIAS, {}, f"https://{ALIAS}.s3.eu-west-1.amazonaws.com", "/", "eu-west-1"),
    ],
)  # fmt: skip
async def test_the_endpoint_of_a_bucket(
    aws_environment: pytest.MonkeyPatch, bucket: str, variables: Mapping[str, str], origin: str, path: str, region: str
) -> None:
    """Names, regions, FIPS, dual-stack, custom endpoints and access points."""
    for name, value in variables.items():
        aws_environment.setenv(name, value)
    found = await bucket_endpoint(session_with_cached_models(()), bucket)
    assert found == BucketEndpoint(origin, path, region, "s3")


async def test_an_outpost_has_a_signing_name_of_its_own(aws_environment: pytest.MonkeyPatch) -> None:
    """A signature for `s3` would be rejected there."""
    found = await bucket_endpoint(session_with_cached_models(()), OUTPOST)
    host = "https://logs-123456789012.op-01.s3-outposts.us-west-2.amazonaws.com"
    assert found == BucketEndpoint(host, "/", "us-west-2", "s3-outposts")


async def test_a_region_that_is_given_has_priority(aws_environment: pytest.MonkeyPatch) -> None:
    """S3 has named it in a redirect."""
    found = await bucket_endpoint(session_with_cached_models(()), "lake", "eu-west-3")
    assert found == BucketEndpoint("https://lake.s3.eu-west-3.amazonaws.com", "/", "eu-west-3", "s3")


@pytest.mark.parametrize(
    ("bucket", "variables", "sentence"),
    [
        ("lake--use1-az4--x-s3", {"AWS_REGION": "us-east-1"}, "is a directory bucket, whose listings have no order"),
        (MRAP, {}, "is a Multi-Region Access Point, .* name one of its buckets"),
        ("a/b", {}, "'a/b' is neither a bucket's name nor an access point's ARN"),
        ("lake", {"AWS_ENDPOINT_URL_S3": "nonsense"}, "Invalid endpoint: nonsense; check "),
        ("lake", {"AWS_PROFILE": "none"}, r"profile \(none\) could not be found; check "),
        (AP, {"AWS_S3_USE_ARN_REGION": "false"}, "region from ARN `us-west-2` does not match"),
    ],
)
async def test_a_bucket_that_cannot_be_listed_is_one_sentence(
    aws_environment: pytest.MonkeyPatch, bucket: str, variables: Mapping[str, str], sentence: str
) -> None:
    """With the name and the remedy."""
    for name, value in variables.items():
        aws_environment.setenv(name, value)
    with pytest.raises(ConfigurationError, match=sentence):
        await bucket_endpoint(session_with_cached_models(()), bucket)
