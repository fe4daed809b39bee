"""What tests of the sensors share: services of AWS on loopback, and options that lead to a real database."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from aiobotocore.session import AioSession
from botocore.loaders import create_loader

from benchmarks.lab.aws_services import AwsServices
from subscriber.edge import load_aws
from subscriber.edge.aws import session_with_region
from subscriber.edge.load_sensor import SensorOptions
from subscriber.edge.postgres_connection import StoreOptions

WRITER_HOST = "lake.cluster-c9akciq32rc9.eu-west-1.rds.amazonaws.com"


_MODELS = create_loader()
"""The services' models are read once for all tests: they take longer than what is tested."""


def session_that_remembers(queue_urls: tuple[str, ...]) -> AioSession:
    """As the daemon makes it, but with models that are there already."""
    session = session_with_region(queue_urls)
    session.register_component("data_loader", _MODELS)
    return session


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Credentials and a region of the test's own; nobody's profile, role or proxy decides what it sees."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(load_aws, "session_with_region", session_that_remembers)
    return monkeypatch


@pytest.fixture
async def services(aws_environment: pytest.MonkeyPatch) -> AsyncIterator[AwsServices]:
    """Services that deny everything until told otherwise; at the end nothing may have been out of shape."""
    async with AwsServices.running() as running:
        for service in ("PI", "RDS", "EC2", "CLOUDWATCH"):
            aws_environment.setenv(f"AWS_ENDPOINT_URL_{service}", running.endpoint_url)
        yield running
        assert running.mistakes == []


@pytest.fixture
def aws_options() -> SensorOptions:
    """An Aurora cluster by its writer's endpoint. Nothing listens where its connection leads."""
    store = StoreOptions(url="postgresql://nobody:nothing@127.0.0.1:9/nowhere", tls="disable")
    return SensorOptions(source="auto", store=store, hosts=(WRITER_HOST,))


@pytest.fixture
def local_options(postgres_url: str) -> SensorOptions:
    """A real database on this machine, which has two processors as far as the operator says."""
    store = StoreOptions(url=postgres_url, tls="disable")
    return SensorOptions(source="auto", store=store, hosts=("127.0.0.1",), vcpus=2.0)
