"""A broker with locked doors: TLS, client certificates, passwords, and an authorizer."""

import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
    UserScramCredentialUpsertion,
)

from kafka_client.clients import Connection, admin
from kafka_client.topics import create_topics
from pipeline.broker import Broker, Listener
from pipeline.java.ports import free_ports

PASSWORDS = {"alice": "open-sesame-7f3a", "bob": "xyzzy-plugh-91c2", "carol": "swordfish-55e8"}
"""Of the users, of whom bob and carol may use SCRAM, and alice PLAIN."""

KEY_WORD = "melon-friend-20d4"
MECHANISM = {"alice": "PLAIN", "bob": "SCRAM-SHA-256", "carol": "SCRAM-SHA-512"}
DOORS = {
    "TLS": "SSL",
    "MUTUAL": "SSL",
    "LOGIN": "SASL_PLAINTEXT",
    "TLSLOGIN": "SASL_SSL",
}
"""The listeners beside the open one, whose users are superusers, and their protocols."""

_LOGIN = "org.apache.kafka.common.security"
Access = tuple[str, str, str]
"""An ACL: an operation, a kind of resource, the name of one, as in ("READ", "TOPIC", "views")."""


@dataclass(frozen=True)
class Secured:
    """The broker: `open` connects to its open door, `ports` has the other doors' ports by name;
    `folder` holds ca.pem, other-ca.pem, client.pem, client.key, and client-locked.key, whose
    password is KEY_WORD, beside files with the users' passwords by their names."""

    open: Connection
    ports: dict[str, int]
    folder: Path

    def options(self, door: str, user: str | None = None) -> dict[str, Any]:
        """The security options for a door, with the user's password by a file."""
        options = {"security_protocol": DOORS[door]}
        if DOORS[door].endswith("SSL"):
            options["ssl_cafile"] = str(self.folder / "ca.pem")
        if door == "MUTUAL":
            options["ssl_certfile"] = str(self.folder / "client.pem")
            options["ssl_keyfile"] = str(self.folder / "client.key")
        if user is not None:
            options["sasl_mechanism"] = MECHANISM[user]
            options["sasl_plain_username"] = user
            options["sasl_plain_password"] = f"file:{self.folder / user}"
        return options

    def url(self, door: str) -> str:
        """The address of a door."""
        return f"kafka://127.0.0.1:{self.ports[door]}"

    def connection(self, door: str, user: str | None = None, **changes: Any) -> Connection:
        """A connection through a door."""
        return Connection.from_url(self.url(door), {**self.options(door, user), **changes})

    def topic(self, partitions: int = 1) -> str:
        """A new topic, which nobody but superusers may use."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        # The tests' records are of long ago: Kafka would delete them half a minute after its start.
        create_topics(self.open, {name: partitions}, {"retention.ms": "-1"})
        return name

    @contextmanager
    def allowed(self, principal: str, accesses: Sequence[Access]) -> Iterator[None]:
        """Just these ACLs for User:`principal`, for a time."""
        acls = [
            ACL(
                f"User:{principal}",
                "*",
                ACLOperation[operation],
                ACLPermissionType.ALLOW,
                ResourcePattern(ResourceType[kind], name),
            )
            for operation, kind, name in accesses
        ]
        with closing(admin(self.open)) as client:
            assert not client.create_acls(acls)["failed"]
            _await(client, acls, there=True)
            try:
                yield
            finally:
                client.delete_acls([_filter_of(acl) for acl in acls])
                _await(client, acls, there=False)


def _await(client: KafkaAdminClient, acls: Sequence[ACL], there: bool) -> None:
    """Returns when the broker itself has heard of a change."""
    ends = time.monotonic() + 20
    while any(bool(client.describe_acls(_filter_of(acl))[0]) is not there for acl in acls):
        assert time.monotonic() < ends
        time.sleep(0.05)


def _filter_of(acl: ACL) -> ACLFilter:
    return ACLFilter(
        acl.principal, acl.host, acl.operation, acl.permission_type, acl.resource_pattern
    )


@contextmanager
def secured_broker(folder: Path) -> Iterator[Secured]:
    """A broker with all the doors; skips where there is no openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with: install it")
    certificates(folder)
    for user, password in PASSWORDS.items():
        (folder / user).write_text(password + "\n")
    ports = dict(zip(DOORS, free_ports(len(DOORS)), strict=True))
    listeners = [Listener(name, DOORS[name], port) for name, port in ports.items()]
    said = properties(folder)
    with Broker(folder / "broker", listeners=listeners, properties=said, heap_mb=256) as broker:
        connection = Connection(broker.bootstrap)
        with closing(admin(connection)) as client:
            client.alter_user_scram_credentials(
                [
                    UserScramCredentialUpsertion(user, MECHANISM[user], PASSWORDS[user])
                    for user in ("bob", "carol")
                ]
            )
        yield Secured(connection, ports, folder)


def properties(folder: Path) -> dict[str, str]:
    """What the broker is told of certificates, passwords and who may do anything."""
    said = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.mutual.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": ",".join(sorted(set(MECHANISM.values()))),
    }
    for door in ("login", "tlslogin"):
        jaas = f"listener.name.{door}.{{}}.sasl.jaas.config"
        plain = f'user_alice="{PASSWORDS["alice"]}"'
        said[jaas.format("plain")] = f"{_LOGIN}.plain.PlainLoginModule required {plain};"
        for scram in ("scram-sha-256", "scram-sha-512"):
            said[jaas.format(scram)] = f"{_LOGIN}.scram.ScramLoginModule required;"
    return said


def certificates(folder: Path) -> None:
    """Two authorities, of which one signs the broker's certificate and the client's."""
    for name in ("ca", "other-ca"):
        _openssl(folder, "req", "-x509", *_KEY, f"/CN=phia {name}", *_files(name))
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key")
    names = ("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    for name in ("server", "client"):
        _openssl(folder, "req", "-x509", *_KEY, f"/CN={name}", *_files(name), *signed, *names)
    locked = ("-out", "client-locked.key", "-passout", f"pass:{KEY_WORD}")
    _openssl(folder, "pkcs8", "-topk8", "-in", "client.key", *locked)
    key = (folder / "server.key").read_text()
    (folder / "broker.pem").write_text(key + (folder / "server.pem").read_text())


_KEY = (
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
    "-subj",
)


def _files(name: str) -> tuple[str, ...]:
    return ("-keyout", f"{name}.key", "-out", f"{name}.pem")


def _openssl(folder: Path, *words: str) -> None:
    command = [str(shutil.which("openssl")), *words]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.returncode == 0, ran.stderr
