"""The TLS side of a connection: whom we trust, and the certificate that we show."""

import ssl
from collections.abc import Mapping
from typing import Any


def tls_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """A context of the `ssl_…` options, `ssl_password` being the password itself.

    We make it and not kafka-python, which ignores `ssl_ciphers` and fails with `ssl_crlfile`.
    ValueError names the option that is wrong.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = options.get("ssl_check_hostname", True)
    if "ssl_cafile" in options:
        _trust(context, "ssl_cafile", options)
    else:
        context.load_default_certs()
    if "ssl_crlfile" in options:
        _trust(context, "ssl_crlfile", options)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    if "ssl_ciphers" in options:
        _choose_ciphers(context, options["ssl_ciphers"])
    if "ssl_certfile" in options:
        _show(context, options)
    return context


def _trust(context: ssl.SSLContext, name: str, options: Mapping[str, Any]) -> None:
    try:
        context.load_verify_locations(options[name])
    except (ssl.SSLError, OSError) as error:
        what = "certificate" if name == "ssl_cafile" else "revocation list"
        raise ValueError(
            f"{name}: {options[name]} holds no {what} in PEM format ({_reason(error)})"
        ) from None


def _choose_ciphers(context: ssl.SSLContext, ciphers: str) -> None:
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError:
        raise ValueError(f"ssl_ciphers: OpenSSL knows none of {ciphers!r}") from None


def _show(context: ssl.SSLContext, options: Mapping[str, Any]) -> None:
    certificate, key = options["ssl_certfile"], options.get("ssl_keyfile")
    try:
        # Without a function OpenSSL would ask at the terminal for the password of a key.
        context.load_cert_chain(certificate, key, lambda: options.get("ssl_password", ""))
    except (ssl.SSLError, OSError) as error:
        raise ValueError(
            f"ssl_certfile, ssl_keyfile: {certificate} and {key or 'the key in it'} cannot be used "
            f"({_reason(error)}): they must be a certificate and its private key in PEM format, "
            "with the right ssl_password if the key is encrypted"
        ) from None


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    return str(reason).lower().replace("_", " ")
