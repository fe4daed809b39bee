"""What the kernel is asked to do about a peer that falls silent, on every connection of ours that waits for answers.

At a failover the old writer may fall silent without closing anything, and so may a load balancer or a firewall that has
forgotten a connection. AWS advises one second idle, one between, five probes ("Fast failover with Amazon Aurora
PostgreSQL"). An idle daemon need not chatter quite so much: a dead peer is found in ten seconds, whether we are waiting
for it or sending to it. A peer whose kernel lives while its process does not is beyond this: for that, every call has
a time limit of its own.
"""

from __future__ import annotations

import socket

KEEPALIVE_IDLE_SECONDS = 5
KEEPALIVE_INTERVAL_SECONDS = 1
KEEPALIVE_PROBES = 5
UNACKNOWLEDGED_SECONDS = 10

_TCP_OPTIONS = {
    "TCP_KEEPIDLE": KEEPALIVE_IDLE_SECONDS,
    "TCP_KEEPALIVE": KEEPALIVE_IDLE_SECONDS,  # what macOS calls TCP_KEEPIDLE
    "TCP_KEEPINTVL": KEEPALIVE_INTERVAL_SECONDS,
    "TCP_KEEPCNT": KEEPALIVE_PROBES,
    "TCP_USER_TIMEOUT": UNACKNOWLEDGED_SECONDS * 1000,
}


def enable_tcp_keepalive(wire: socket.socket) -> None:
    """Have the kernel probe the peer, as far as the platform knows how; nothing to do for a Unix socket."""
    if wire.family not in (socket.AF_INET, socket.AF_INET6):
        return
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS.items():
        if hasattr(socket, name):
            wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
