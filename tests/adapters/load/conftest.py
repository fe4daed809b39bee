"""Shared by the tests of the sensors: AWS services on loopback, and the options of a real database."""

from __future__ import annotations

import pytest

from subscriber.adapters.load.sensor import SensorOptions
from subscriber.adapters.postgres.connection import StoreOptions
from testkit.aws.aws_services import AwsServices

WRITER_HOST = "lake.cluster-c9akciq32rc9.eu-west-1.rds.amazonaws.com"


@pytest.fixture
def services(aws_services: AwsServices) -> AwsServices:
    """Services that deny everything not scripted; at the end no request may have had a wrong shape."""
    return aws_services


@pytest.fixture
def aws_options() -> SensorOptions:
    """An Aurora cluster by its writer's endpoint. Nothing listens at the address of its connection."""
    store = StoreOptions(url="postgresql://nobody:nothing@127.0.0.1:9/nowhere", tls="disable")
    return SensorOptions(source="auto", store=store, hosts=(WRITER_HOST,))


@pytest.fixture
def local_options(postgres_url: str) -> SensorOptions:
    """A real database on this machine, which has two processors by the settings."""
    store = StoreOptions(url=postgres_url, tls="disable")
    return SensorOptions(source="auto", store=store, hosts=("127.0.0.1",), vcpus=2.0)
