"""Ports of this machine that a server may take."""

import socket

from pipeline.java.packages import JavaError

HOST = "127.0.0.1"


def free_port(port: int = 0) -> int:
    """The port itself where it is free, any free one for 0; JavaError where it is taken."""
    with socket.socket() as probe:
        # Connections that linger from a server before are no hindrance; a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise JavaError(
                f"port {port} cannot be used ({error}): name a free one, or 0 for any"
            ) from error
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens at a port."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False
