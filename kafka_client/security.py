"""How a client proves who it is: the options that are known, and what must not be shown."""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from kafka_client.secrets import Secret
from kafka_client.tls import tls_context

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")
FILES = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile")
SECRETS = ("ssl_password", "sasl_plain_password")
OPTIONS = (
    "security_protocol",
    *FILES,
    "ssl_password",
    "ssl_ciphers",
    "ssl_check_hostname",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "sasl_kerberos_name",
    "sasl_kerberos_service_name",
    "sasl_kerberos_domain_name",
)
_TRUTHS = {"true": True, "false": False}


def checked_security(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with each secret as a `Secret` and each file by its absolute path.

    A secret may be given as a Secret, or as "env:NAME" or "file:PATH". ValueError names the option
    that is wrong; a wrong value is shown only where it cannot be a secret.
    """
    for name in options:
        if name not in OPTIONS:
            raise ValueError(f"{name!r} is not a Kafka security option: {', '.join(OPTIONS)}")
    checked = {name: _by_reference(name, value) for name, value in options.items()}
    protocol = _one_of(checked, "security_protocol", PROTOCOLS, "PLAINTEXT")
    _check_files(checked)
    checked |= {name: os.path.abspath(checked[name]) for name in FILES if name in checked}
    if "ssl_check_hostname" in checked:
        checked["ssl_check_hostname"] = _truth(checked["ssl_check_hostname"])
    _check_pairing(checked, "ssl_", protocol, ("SSL", "SASL_SSL"))
    _check_pairing(checked, "sasl_", protocol, ("SASL_PLAINTEXT", "SASL_SSL"))
    if protocol.startswith("SASL"):
        _check_sasl(checked)
    return checked


def client_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Checked options as kafka-python takes them, with the secrets in them: not to be kept.

    ValueError says which secret or file is not on this machine.
    """
    _check_files(options)
    read = {name: _read(name, value) for name, value in options.items()}
    if str(options.get("security_protocol", "")).endswith("SSL"):
        tls = {name: read.pop(name) for name in list(read) if name.startswith("ssl_")}
        read["ssl_context"] = tls_context(tls)
    return read


def without_secrets(text: str, options: Mapping[str, Any]) -> str:
    """The text with every secret that the options refer to struck out."""
    for name in SECRETS:
        if name in options:
            with suppress(ValueError):  # what is not there was in no text
                text = text.replace(options[name].read(), "***")
    return text


def _by_reference(name: str, value: Any) -> Any:
    if name not in SECRETS or isinstance(value, Secret):
        return value
    try:
        return Secret.parse(str(value))
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


class _Hidden(str):
    """A secret in kafka-python's hands, which logs its whole configuration at DEBUG."""

    def __repr__(self) -> str:
        return "***"


def _read(name: str, value: Any) -> Any:
    if not isinstance(value, Secret):
        return value
    try:
        return _Hidden(value.read())
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _one_of(options: Mapping[str, Any], name: str, known: tuple[str, ...], default: str) -> str:
    value = options.get(name, default)
    if value not in known:
        raise ValueError(f"{name} is {value!r}; it should be one of {', '.join(known)}")
    return str(value)


def _check_files(options: Mapping[str, Any]) -> None:
    for name in FILES:
        if name in options and not os.path.isfile(options[name]):
            raise ValueError(f"{name}: there is no file {options[name]} here")


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in _TRUTHS:
        raise ValueError(f"ssl_check_hostname is {value!r}; it should be true or false")
    return _TRUTHS[str(value).lower()]


def _check_pairing(
    options: Mapping[str, Any], prefix: str, protocol: str, needed: tuple[str, ...]
) -> None:
    """Refuse options that the protocol would leave unused: a user would believe himself safe."""
    unused = [name for name in options if name.startswith(prefix)]
    if unused and protocol not in needed:
        raise ValueError(
            f"{unused[0]} needs security_protocol {' or '.join(needed)}; it is {protocol}"
        )


def _check_sasl(options: Mapping[str, Any]) -> None:
    if "sasl_mechanism" not in options:
        raise ValueError(f"sasl_mechanism is missing: one of {', '.join(MECHANISMS)}")
    mechanism = _one_of(options, "sasl_mechanism", MECHANISMS, "PLAIN")
    if mechanism == "PLAIN" or mechanism.startswith("SCRAM"):
        for name in ("sasl_plain_username", "sasl_plain_password"):
            if not options.get(name):
                raise ValueError(f"{name} is missing: sasl_mechanism {mechanism} needs it")
