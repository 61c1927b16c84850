"""What errors of Kafka most likely come of, where no broker of the tests could be their cause."""

import logging
import re

import pytest
from kafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError

from kafka_client.reasons import Reasons, reason_of

MISMATCH = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {} (_ssl.c:1006)"


@pytest.mark.parametrize(
    ("heard", "likely"),
    [
        (
            MISMATCH.format("IP address mismatch, certificate is not valid for '1.2.3.4'."),
            "another",
        ),
        (
            MISMATCH.format("Hostname mismatch, certificate is not valid for 'h'."),
            "of another host",
        ),
        (MISMATCH.format("certificate has expired"), "not of an authority in ssl_cafile"),
        ("Invalid frame length: 352518912", "speaks TLS at this port"),
        ("UnsupportedSaslMechanismError: enabled are PLAIN", "check sasl_mechanism"),
    ],
)
def test_what_is_heard_is_told_with_its_likely_cause(heard: str, likely: str) -> None:
    reason = reason_of(KafkaTimeoutError("Unable to bootstrap"), heard, {}, "Describe")
    assert likely in reason
    assert heard in reason


def test_an_error_that_says_why_is_not_explained_by_the_log() -> None:
    assert reason_of(ValueError("too large"), "Connection refused", {}, "Read") == "too large"


def test_all_topics_that_are_denied_are_named() -> None:
    reason = reason_of(TopicAuthorizationFailedError({"b", "a"}), "", {}, "Read")
    assert reason == 'this client is refused: it needs the ACL Read on topic "a", "b"'


@pytest.mark.parametrize(
    ("said", "last"),
    [
        (["failed: refused", "failed: Request timed out after 9 ms"], "refused"),
        (["failed: Request timed out after 9 ms", "failed: refused"], "refused"),
        (["failed: SaslAuthenticationFailedError: no", "failed: refused"], "SaslAuth.*: no"),
        (["failed: KafkaTimeoutError: Unable to bootstrap from x"], ""),
        (["failed: 111 ECONNREFUSED (backoff 0.05 secs)"], "Connection refused"),
    ],
)
def test_the_most_telling_reason_is_kept_whatever_is_logged_else(
    said: list[str], last: str
) -> None:
    log = logging.getLogger("kafka.net")
    before = log.level
    log.setLevel(logging.CRITICAL)  # as where a program shows no warnings
    try:
        with Reasons() as reasons:
            for line in said:
                logging.getLogger("kafka.net.manager").warning("%s", line)
        assert log.level == logging.CRITICAL
    finally:
        log.setLevel(before)
    assert re.fullmatch(last, reasons.last)
