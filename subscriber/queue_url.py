"""What the URL of a queue says: region, account and name, and one name for each queue of a daemon.

Sources: "Amazon SQS endpoints and quotas" (AWS General Reference), "Access an AWS service using an interface VPC
endpoint" (AWS PrivateLink Guide), and the partitions of botocore.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

SUFFIX_OF_PARTITION: Mapping[str, str] = {
    "aws": "amazonaws.com",
    "aws-us-gov": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
}
"""The end of the endpoints' names, by the partition in ARNs."""

DNS_SUFFIXES = tuple(dict.fromkeys(SUFFIX_OF_PARTITION.values()))

DUAL_STACK_SUFFIXES = (
    "api.aws",
    "api.amazonwebservices.com.cn",
    "api.amazonwebservices.eu",
    "api.aws.ic.gov",
    "api.aws.scloud",
    "api.cloud-aws.adc-e.uk",
    "api.aws.hci.ic.gov",
)
"""The same for endpoints with IPv4 and IPv6 addresses."""

_HOST = re.compile(
    r"(?:(?P<vpc>[a-z0-9.-]+)\.)?sqs(?P<fips>-fips)?\.(?P<region>[a-z]+(?:-[a-z]+)+-\d+)\.(?P<suffix>.+)"
)
_LEGACY_HOST = re.compile(r"(?:(?P<region>[a-z]+(?:-[a-z]+)+-\d+)\.)?queue\.(?P<suffix>.+)")

Kind: TypeAlias = Literal["plain", "special", "legacy"]
"""What a region has by default; a FIPS, dual-stack or VPC endpoint; or a form that SQS used before."""


class QueueHost(msgspec.Struct, frozen=True):
    """An endpoint of SQS at AWS."""

    region: str
    kind: Kind


def host_of(url: str) -> str:
    """The host of a URL in lower case, without port; empty if there is none."""
    return urlsplit(url).hostname or ""


def is_aws_host(host: str) -> bool:
    """Whether a host belongs to AWS, in any partition."""
    return host.endswith(tuple(f".{suffix}" for suffix in (*DNS_SUFFIXES, *DUAL_STACK_SUFFIXES)))


def queue_host(host: str) -> QueueHost | None:
    """The endpoint of SQS that a host is; None if AWS has none of this form."""
    if (legacy := _LEGACY_HOST.fullmatch(host)) and legacy["suffix"] in DNS_SUFFIXES:
        return QueueHost(legacy["region"] or "us-east-1", "legacy")
    found = _HOST.fullmatch(host)
    if found is None:
        return None
    of_vpc = {f"vpce.{suffix}" for suffix in DNS_SUFFIXES}
    if found["suffix"] not in (of_vpc if found["vpc"] else {*DNS_SUFFIXES, *DUAL_STACK_SUFFIXES}):
        return None
    is_plain = not found["vpc"] and not found["fips"] and found["suffix"] in DNS_SUFFIXES
    return QueueHost(found["region"], "plain" if is_plain else "special")


def region_of(url: str) -> str | None:
    """The region in a queue's URL; None if its host is no endpoint of SQS at AWS (emulators, custom endpoints)."""
    host = queue_host(host_of(url))
    return host.region if host else None


def account_of(url: str) -> str:
    """The account id in a queue's URL; empty if there is none."""
    first = urlsplit(url).path.strip("/").partition("/")[0]
    return first if first.isdigit() and len(first) == 12 else ""


def queue_name(url: str) -> str:
    """The name of a queue: the last part of its URL."""
    return url.rstrip("/").rsplit("/", 1)[-1]


def queue_names(urls: Iterable[str]) -> dict[str, str]:
    """One name for each queue, by its URL, and never the same for two.

    It is the queue's own name; where several queues share that, `REGION/ACCOUNT/NAME`, with the host where the URL
    names no region; and the whole URL where that is not enough.
    """
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for url in urls:
        by_name[queue_name(url)].append(url)
    return {url: name for alike in by_name.values() for url, name in _names_of_alike(alike).items()}


def _names_of_alike(urls: list[str]) -> dict[str, str]:
    forms: tuple[Callable[[str], str], ...] = (queue_name, _placed_name)
    for form in forms:
        names = {url: form(url) for url in urls}
        if len(set(names.values())) == len(urls):
            return names
    return {url: url for url in urls}


def _placed_name(url: str) -> str:
    place = (region_of(url) or urlsplit(url).netloc, account_of(url), queue_name(url))
    return "/".join(part for part in place if part)
