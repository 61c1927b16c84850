"""Ports of this machine that a server may take."""

import random
import socket
from itertools import islice

from pipeline.java.packages import JavaError

HOST = "127.0.0.1"
SERVER_PORTS = range(10_000, 32_768)
"""Above the well-known ones, and below those that systems give to clients: a connection that
someone opens before the server starts can't take its port."""


def free_ports(count: int) -> list[int]:
    """So many different ports that were free a moment ago. Raises JavaError."""
    drawn = random.sample(SERVER_PORTS, len(SERVER_PORTS))
    found = list(islice((port for port in drawn if _why_not(port) is None), count))
    if len(found) < count:
        ends = f"{SERVER_PORTS[0]} to {SERVER_PORTS[-1]}"
        raise JavaError(f"of the ports {ends} only {len(found)} are free, {count} are needed")
    return found


def free_port(port: int = 0) -> int:
    """The port itself where it is free, any free one for 0; JavaError where it is taken."""
    if port == 0:
        return free_ports(1)[0]
    if error := _why_not(port):
        raise JavaError(f"port {port} cannot be used ({error}): name a free one, or 0 for any")
    return port


def answers(port: int) -> bool:
    """Whether somebody listens at a port."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def _why_not(port: int) -> Exception | None:
    """Why a server can't take the port; None where it can."""
    with socket.socket() as probe:
        # Connections that linger from a server before are no hindrance; a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            return error
    return None
