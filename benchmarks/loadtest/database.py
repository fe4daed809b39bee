"""PostgreSQL settings under test: those of a server meant for such a table, not the defaults for a laptop."""

from __future__ import annotations

import psutil

_MEBIBYTE = 1024**2
_MEMORY_PART = 4


def database_settings() -> dict[str, str]:
    """Settings of PostgreSQL for every scenario.

    A quarter of the memory for buffers is what PostgreSQL's documentation advises for a server of its own
    (`shared_buffers`), and what RDS gives. The WAL is so large that checkpoints start by time alone: one forced
    by volume would disturb some measurements and not others.
    """
    buffers = psutil.virtual_memory().total // _MEMORY_PART // _MEBIBYTE
    return {"shared_buffers": f"{buffers}MB", "max_wal_size": "16GB", "checkpoint_timeout": "30min"}
