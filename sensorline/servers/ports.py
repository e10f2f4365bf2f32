"""Chooses loopback ports, below the ephemeral range.

A port from the ephemeral range is a trap for tests that restart a server: a client that keeps reconnecting to the dead
port may be given that very port as its own, connects to itself, and holds it when the server wants it back.
"""

import random
import socket

from sensorline.servers.errors import ServersError

HOST = "127.0.0.1"
RANGE = range(20_000, 32_000)  # Linux hands out ephemeral ports from 32768 on
TRIES = 200


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one in TIME_WAIT is free, as it is to Java
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port that nobody listens on now; raises ServersError when none is found."""
    for _ in range(TRIES):
        port = random.choice(RANGE)
        if is_free(port):
            return port
    raise ServersError(f"no free port among {TRIES} tried in {RANGE.start}-{RANGE.stop} on {HOST}")
