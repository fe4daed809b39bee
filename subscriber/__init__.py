"""S3 event notifications from SQS into an object index in PostgreSQL."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """`__version__`, asked of the installed package when somebody wants it: the import stays free of cost."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - needed by who asks for the version, and nobody else

        return version(__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
