"""TCP keepalive for every connection: the kernel detects a peer that stopped answering.

At a failover the old writer may stop answering without closing anything; so may a load balancer or a firewall that
dropped its state. AWS advises one second idle, one second between probes and five probes ("Fast failover with Amazon
Aurora PostgreSQL"). We wait longer before the first probe, to spare idle connections: a dead peer is detected within
ten seconds, both while waiting and while sending. Keepalive does not detect a hung process whose kernel still answers;
therefore every call also has a timeout.
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
    """Set the keepalive options that the platform has; a Unix socket needs none."""
    if wire.family not in (socket.AF_INET, socket.AF_INET6):
        return
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS.items():
        if hasattr(socket, name):
            wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
