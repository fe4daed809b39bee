#!/usr/bin/env bash
# asyncpg 0.32.0 and psycopg 3.3.9 · a connection URL with two hosts, the first of which accepts and says nothing
#
# Expected, from libpq (documentation of PostgreSQL, 34.1.2: with several hosts `connect_timeout` applies to each): a silent
# host costs its own timeout, then the next host is tried.
# Seen: asyncpg's `timeout` is one deadline for all hosts together. The silent first host uses it up, and the second host
# never sees a connection, however long the timeout. psycopg, built on libpq, reaches the second host.
#
# Output seen:
#   asyncpg, timeout 3 s: TimeoutError, connections at the second host: 0
#   psycopg, timeout 2 s: connections at the second host: 1
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check asyncpg==0.32.0 'psycopg[binary]==3.3.9' 2> "$folder/pip.log" \
  || { cat "$folder/pip.log"; exit 1; }
cat > "$folder/try.py" <<'PY'
import asyncio
import socket
import threading

import asyncpg
import psycopg

silent = socket.create_server(("127.0.0.1", 0))
second = socket.create_server(("127.0.0.1", 0))
reached = []


def count() -> None:
    while True:
        connection, _ = second.accept()
        reached.append(connection)
        connection.close()


threading.Thread(target=count, daemon=True).start()
hosts = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{second.getsockname()[1]}"


async def with_asyncpg() -> str:
    try:
        await asyncpg.connect(f"postgresql://me:secret@{hosts}/lake?sslmode=disable", timeout=3)
    except Exception as error:
        return type(error).__name__
    return "connected"


failed = asyncio.run(with_asyncpg())
print(f"asyncpg, timeout 3 s: {failed}, connections at the second host: {len(reached)}")
assert failed == "TimeoutError" and not reached, "asyncpg has changed"
try:
    psycopg.connect(f"postgresql://me:secret@{hosts}/lake?sslmode=disable&gssencmode=disable&connect_timeout=2")
except psycopg.OperationalError:
    pass  # the second host is no server either; that it was asked is what counts
print(f"psycopg, timeout 2 s: connections at the second host: {len(reached)}")
assert len(reached) == 1, "psycopg has changed"
PY
"$folder/venv/bin/python" "$folder/try.py"
