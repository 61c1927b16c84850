"""Why Kafka does not do what we ask, in words that say what to change."""

import logging
import os
import re
from collections.abc import Mapping
from typing import Any

from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaTimeoutError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
)

_BACKOFF = re.compile(r" \(backoff [\d.]+ secs\)$")
_NUMBERED = re.compile(r"\b(\d+) E[A-Z]{3,}\b")
# Errors of kafka-python that tell only that, not why, nothing came back.
_SILENT = (KafkaTimeoutError, KafkaConnectionError, NodeNotReadyError)
# How kafka-python shows a connection whose broker has said what it can do.
_ANSWERED = "broker_version=("
_REFUSALS = ("Authentication", "Handshake", "Sasl", "SSL", "Authorization")

_HUNG_UP = "socket disconnected"
_AFTER_ANSWER = f"{_HUNG_UP} after an answer"

_LIKELY = (
    ("mismatch, certificate is not valid for", "the broker's certificate is of another host: "
     "connect by a name in it, or set ssl_check_hostname=false"),
    ("CERTIFICATE_VERIFY_FAILED", "the broker's certificate is not of an authority in ssl_cafile"),
    ("_ALERT_", "the broker refuses the client's certificate, or misses one: "
     "check ssl_certfile and ssl_keyfile"),
    ("[SSL: ", "there is no TLS at this port, or none as here: check security_protocol"),
    ("Invalid frame length", "the broker speaks TLS at this port: check security_protocol"),
    ("IllegalSaslState", "the broker asks for no user at this port: check security_protocol"),
    ("UnsupportedSaslMechanism", "check sasl_mechanism"),
    (_AFTER_ANSWER, "the broker asks for a user at this port: check security_protocol"),
    (_HUNG_UP, "the broker hangs up, as where TLS is expected: check security_protocol"),
    ("SaslAuthenticationFailed", "the broker refuses the user or password: check "
     "sasl_plain_username, sasl_plain_password and sasl_mechanism"),
)  # fmt: skip
"""What is in an error, and what it most likely comes of; the first that fits counts."""


def reason_of(error: Exception, heard: str, security: Mapping[str, Any], acl: str) -> str:
    """Why an error came, with what was `heard` in kafka-python's log; `acl` is the operation on a
    topic that must be allowed. May hold secrets."""
    if isinstance(error, AuthorizationError):
        return _refusal(_acl(error, acl), security)
    if ClusterAuthorizationFailedError.__name__ in str(error):
        return _refusal(_IDEMPOTENT, security)
    reason = (heard if isinstance(error, _SILENT) else "") or str(error)
    if reason.endswith(_AFTER_ANSWER) and "sasl_mechanism" in security:
        # The broker's own words are lost where they come together with the end of the stream.
        reason = reason.replace(_AFTER_ANSWER, "SaslAuthenticationFailed")
    likely = next((f"{cause} ({reason})" for sign, cause in _LIKELY if sign in reason), None)
    return likely or reason


# A broker lets a producer be idempotent that may write to any topic at all.
_IDEMPOTENT = "the ACL Write on the topic, or IdempotentWrite on the cluster"


def _refusal(acl: str, security: Mapping[str, Any]) -> str:
    user = security.get("sasl_plain_username")
    return f"{f'User:{user}' if user else 'this client'} is refused: it needs {acl}"


def _acl(error: AuthorizationError, acl: str) -> str:
    if isinstance(error, TopicAuthorizationFailedError):
        also = ", which Read and Write bring along" if acl == "Describe" else ""
        return f"the ACL {acl} on topic {_named(error)}{also}"
    if isinstance(error, GroupAuthorizationFailedError):
        return f"the ACL Read on group {_named(error)}"
    if isinstance(error, ClusterAuthorizationFailedError):
        return _IDEMPOTENT
    return f"an ACL: {error}"


def _named(error: AuthorizationError) -> str:
    """The topics or the group that an error names, by themselves or as a set."""
    names = [error.args[0]] if isinstance(error.args[0], str) else sorted(error.args[0])
    return ", ".join(f'"{name}"' for name in names)


class Reasons(logging.Handler):
    """Listens to kafka-python's network log for the most telling reason of a failure.

    kafka-python says why only there.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        self._log = logging.getLogger("kafka.net")
        self._answered = False

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what follows "failed:", unless what is known already tells more.

        A refused client is often cut off without a word at its next attempts, and the last
        attempt has no time left.
        """
        message = record.getMessage()
        if f"Connection lost: KafkaConnectionError: {_HUNG_UP}" in message:
            self._answered = _ANSWERED in message
        _, failed, reason = message.partition("failed: ")
        reason = _NUMBERED.sub(lambda match: os.strerror(int(match[1])), _BACKOFF.sub("", reason))
        known = any(sign in self.last for sign in _REFUSALS)
        less = "Unable to bootstrap" in reason or (self.last and "timed out" in reason)
        if failed and not less and not known:
            self.last = reason.replace(_HUNG_UP, _AFTER_ANSWER) if self._answered else reason

    def __enter__(self) -> "Reasons":
        self._level = self._log.level
        if not self._log.isEnabledFor(logging.WARNING):
            self._log.setLevel(logging.WARNING)
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)
        self._log.setLevel(self._level)
