"""The run context of the end-to-end tests, for this folder too."""

from __future__ import annotations

from tests.e2e.conftest import context, plain_schema

__all__ = ["context", "plain_schema"]
