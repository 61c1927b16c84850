"""The settings of a broker of one node, as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.java.ports import HOST

# One node, small memory, quick restarts: after a crash the broker waits for its own old session to
# end (9 s by default). Topics come into being only where they are asked for.
FIXED = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "200",
}


@dataclass(frozen=True, slots=True)
class Listener:
    """A further door of the broker: its name, its port and what it asks of a client.

    `protocol` is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; what such a listener needs
    (`listener.name.NAME.…`, in lower case) goes to the broker's properties.
    """

    name: str
    protocol: str
    port: int


def server_properties(
    data: Path,
    port: int,
    controller_port: int,
    listeners: Sequence[Listener] = (),
    extra: Mapping[str, str] | None = None,
) -> str:
    """The text of `server.properties`: `data` holds the logs, `extra` has the last word."""
    doors = (Listener("PLAINTEXT", "PLAINTEXT", port), *listeners)
    controller = Listener("CONTROLLER", "PLAINTEXT", controller_port)
    settings = {
        **FIXED,
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": _addresses((*doors, controller)),
        "advertised.listeners": _addresses(doors),
        "listener.security.protocol.map": ",".join(
            f"{door.name}:{door.protocol}" for door in (*doors, controller)
        ),
        "log.dirs": str(data),
        **(extra or {}),
    }
    return "".join(f"{key}={_escaped(value)}\n" for key, value in settings.items())


def _addresses(listeners: Sequence[Listener]) -> str:
    return ",".join(f"{listener.name}://{HOST}:{listener.port}" for listener in listeners)


def _escaped(value: str) -> str:
    """A value as Java's properties take it: one line, the backslash doubled."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")
