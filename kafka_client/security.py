"""How a client proves who it is: the options that are known, and what must not be shown."""

import os
from collections.abc import Mapping
from typing import Any

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER")
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
    "sasl_oauth_token_provider",
)
_TRUTHS = {"true": True, "false": False}


def checked_security(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as kafka-python takes them; ValueError names the one that is wrong.

    A wrong value is shown only where it cannot be a secret.
    """
    for name in options:
        if name not in OPTIONS:
            raise ValueError(f"{name!r} is not a Kafka security option: {', '.join(OPTIONS)}")
    checked = dict(options)
    protocol = _one_of(checked, "security_protocol", PROTOCOLS, "PLAINTEXT")
    _check_files(checked)
    if "ssl_check_hostname" in checked:
        checked["ssl_check_hostname"] = _truth(checked["ssl_check_hostname"])
    _check_pairing(checked, "ssl_", protocol, ("SSL", "SASL_SSL"))
    _check_pairing(checked, "sasl_", protocol, ("SASL_PLAINTEXT", "SASL_SSL"))
    if protocol.startswith("SASL"):
        _check_sasl(checked)
    return checked


def without_secrets(text: str, options: Mapping[str, Any]) -> str:
    """The text with every secret among the options' values struck out."""
    for name in SECRETS:
        if options.get(name):
            text = text.replace(str(options[name]), "***")
    return text


def _one_of(options: Mapping[str, Any], name: str, known: tuple[str, ...], default: str) -> str:
    value = options.get(name, default)
    if value not in known:
        raise ValueError(f"{name} is {value!r}; it should be one of {', '.join(known)}")
    return str(value)


def _check_files(options: Mapping[str, Any]) -> None:
    for name in FILES:
        if name in options and not os.path.isfile(options[name]):
            raise ValueError(f"{name}: there is no file {options[name]}")


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
