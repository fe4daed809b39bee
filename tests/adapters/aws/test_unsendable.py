"""What cannot be put into a request is our own error, said once, and nothing of it is sent."""

from __future__ import annotations

import pytest

from subscriber.adapters.aws.json_client import JsonClient
from subscriber.errors import QueueCallError
from tests.adapters.aws.test_json_client import Frozen, Renewing


@pytest.mark.parametrize("token", ["pasted…", "with a line\n"])
async def test_credentials_that_no_header_can_hold_are_refused(token: str) -> None:
    """They would break the request, or put a header of their own into it."""

    class Pasted:
        async def get_frozen_credentials(self) -> Frozen:
            return Frozen("key", "secret", token)

    client = JsonClient("http://127.0.0.1:9", "us-east-1", Pasted(), connections=1)
    with pytest.raises(QueueCallError, match="no header may have"):
        await client.call("t", b"{}", 5)
    await client.close()


async def test_a_host_that_is_no_name_is_our_own_error() -> None:
    """Empty labels and the like, which IDNA refuses."""
    client = JsonClient("http://queue..example", "us-east-1", Renewing(), connections=1)
    with pytest.raises(QueueCallError):
        await client.call("t", b"{}", 5)
    await client.close()
