"""Kafka's jars and a Java to run them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.java.packages import jars, java

KAFKA_VERSION = "4.4.0"
# The logger writes plain lines to stderr, which become the broker's log.
COORDINATES = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A runnable Kafka: the Java program and its class path."""

    java: Path
    classpath: str


def find_distribution(progress: Callable[[str], None]) -> Distribution:
    """Kafka from the cache, or fetched once (43 MB); from then on no network is needed.

    Raises JavaError where the packages are not installed or the jars cannot be fetched.
    """
    progress(f"Kafka {KAFKA_VERSION}, from the cache or fetched once (43 MB)")
    return Distribution(java(), os.pathsep.join(map(str, jars(COORDINATES))))
