"""The log of a test's own: what it sets up is gone with it, and its lines are read back."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog


@pytest.fixture
def own_log() -> Iterator[None]:
    """Whatever is configured meanwhile is as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def logged(stream: io.BytesIO) -> list[dict[str, Any]]:
    """The lines of the stream, each one JSON object in valid UTF-8."""
    assert stream.getvalue().decode().endswith("\n")
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def raised(error: Exception) -> Exception:
    """The error after it was raised, that is with a traceback."""
    try:
        raise error  # noqa: TRY301 - to be raised is all it is for
    except Exception as caught:  # noqa: BLE001 - it is the one raised a line above
        return caught
