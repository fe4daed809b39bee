"""S3 event notifications from SQS into an object index in PostgreSQL."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """`__version__` of the installed package, read on first access so that importing the package costs nothing."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - needed only for the version

        return version(__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
