"""Ports that servers are given: free ones, all different, that no client is given by the system."""

import socket
from pathlib import Path

import pytest

from pipeline.flink.settings import Ports
from pipeline.java import ports
from pipeline.java.packages import JavaError
from pipeline.java.ports import SERVER_PORTS, free_port, free_ports

CLIENTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_all_that_are_asked_for_are_different_and_free() -> None:
    found = free_ports(50)
    assert len(set(found)) == 50
    for port in found:
        socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.skipif(not CLIENTS.exists(), reason="the system does not say what it gives to clients")
def test_none_is_given_to_a_client_before_the_server_starts() -> None:
    lowest, _ = map(int, CLIENTS.read_text().split())
    assert max(SERVER_PORTS) < lowest
    assert all(port in SERVER_PORTS for port in [*free_ports(50), free_port()])


def test_those_that_are_taken_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(ports, "SERVER_PORTS", range(taken, taken + 1))
        with pytest.raises(JavaError, match=f"of the ports {taken} to {taken} only 0 are free"):
            free_ports(1)
        with pytest.raises(JavaError, match=f"port {taken} cannot be used"):
            free_port(taken)


def test_a_cluster_has_its_own_port_where_it_is_told() -> None:
    rest = free_port()
    assert Ports.free(rest).rest == rest
    assert len(set(Ports.free().as_dict().values())) == len(Ports.__annotations__)
