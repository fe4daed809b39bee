"""The stage of the whole-line tests, for this folder too."""

from __future__ import annotations

from tests.e2e.conftest import plain_schema, scene

__all__ = ["plain_schema", "scene"]
