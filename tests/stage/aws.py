"""Services of AWS on loopback for tests, and an environment that leads nowhere else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from aiobotocore.session import AioSession
from botocore.loaders import create_loader

from benchmarks.lab.aws_services import AwsServices
from subscriber.edge import aws_calls
from subscriber.edge.aws import session_with_region

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
    monkeypatch.setattr(aws_calls, "session_with_region", session_that_remembers)
    return monkeypatch


@pytest.fixture
async def aws_services(aws_environment: pytest.MonkeyPatch) -> AsyncIterator[AwsServices]:
    """Services that deny everything until told otherwise; at the end nothing may have been out of shape."""
    async with AwsServices.running() as running:
        aws_environment.setenv("AWS_ENDPOINT_URL", running.endpoint_url)
        yield running
        assert running.mistakes == []
