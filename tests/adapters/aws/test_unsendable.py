"""Values that a request cannot contain are QueueCallErrors, and nothing is sent."""

from __future__ import annotations

import pytest

from subscriber.adapters.aws.json_client import JsonClient
from subscriber.errors import QueueCallError
from tests.adapters.aws.test_json_client import Frozen, Renewing


@pytest.mark.parametrize("token", ["pasted…", "with a line\n"])
async def test_credentials_unfit_for_a_header_are_rejected(token: str) -> None:
    """They would break the request or inject a header."""

    class Pasted:
        async def get_frozen_credentials(self) -> Frozen:
            return Frozen("key", "secret", token)

    client = JsonClient("http://127.0.0.1:9", "us-east-1", Pasted(), connections=1)
    with pytest.raises(QueueCallError, match="cannot contain"):
        await client.call("t", b"{}", 5)
    await client.close()


async def test_an_invalid_host_name_is_a_queue_call_error() -> None:
    """For example an empty label, which IDNA rejects."""
    client = JsonClient("http://queue..example", "us-east-1", Renewing(), connections=1)
    with pytest.raises(QueueCallError):
        await client.call("t", b"{}", 5)
    await client.close()
