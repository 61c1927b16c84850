"""Flink and Beam's runner for it: from PyPI and Maven Central, kept in the user's cache."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.java.packages import JavaError, fetching, jars, java

FLINK_VERSION = "1.19.3"
RUNNER_VERSION = "2.70.0"
# Newer runners and their job services are on Maven Central, but not on every mirror of it.
RUNNER = (
    f"org.apache.beam:beam-runners-flink-1.19:{RUNNER_VERSION}"
    "+org.apache.beam:beam-runners-java-job-service:2.65.0"
)
# Older copies of the runner's classes, and what Flink brings itself.
_NOT_OURS = ("beam-sdks-java-harness-", "flink-", "slf4j-api-2")
_FLINK = ("flink-dist-", "log4j-")
_PROMETHEUS = "flink-metrics-prometheus-"
DOWNLOAD_S = 900


@dataclass(frozen=True, slots=True)
class Distribution:
    """A runnable Flink: the Java program, the class path, and the folder of Flink's plugins."""

    java: Path
    classpath: str
    plugins: Path


def find_distribution(progress: Callable[[str], None]) -> Distribution:
    """Flink from the cache, or fetched once (300 MB); from then on no network is needed.

    Raises JavaError where packages are not installed or something can't be fetched.
    """
    progress(f"Flink {FLINK_VERSION}, from the cache or fetched once (300 MB)")
    flink = _flink()
    beam = [jar for jar in jars(RUNNER) if not jar.name.startswith(_NOT_OURS)]
    path = [*sorted((flink / "lib").glob("*.jar")), *beam]
    return Distribution(java(), os.pathsep.join(map(str, path)), flink / "plugins")


def _flink() -> Path:
    """The folder of Flink's jars."""
    with fetching("flink") as cache:
        home = cache / f"flink-{FLINK_VERSION}"
        if not home.is_dir():
            fresh = cache / f"flink-{FLINK_VERSION}.part"
            shutil.rmtree(fresh, ignore_errors=True)
            _unpack(_download(fresh), fresh)
            fresh.rename(home)
        return home


def _download(folder: Path) -> Path:
    """The package that carries Flink's jars for its Python users."""
    package = f"apache-flink-libraries=={FLINK_VERSION}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", ":all:", "--dest", str(folder), package]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise JavaError(f"{package} could not be fetched in {DOWNLOAD_S} s") from error
    if done.returncode:
        raise JavaError(f"{package} cannot be fetched: {' '.join(done.stderr.split())}")
    return next(folder.glob("*.tar.gz"))


def _unpack(archive: Path, home: Path) -> None:
    """Takes the few jars that a cluster needs: into lib/, and a plugin into its folder."""
    (home / "lib").mkdir(parents=True)
    (home / "plugins" / "metrics-prometheus").mkdir(parents=True)
    with tarfile.open(archive) as tar:
        for member, place in _wanted(tar):
            source = tar.extractfile(member)
            if source is not None:
                with source, open(home / place / Path(member.name).name, "wb") as target:
                    shutil.copyfileobj(source, target)
    archive.unlink()


def _wanted(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str]]:
    for member in tar:
        name = Path(member.name).name
        if member.isfile() and name.endswith(".jar"):
            if "/deps/lib/" in member.name and name.startswith(_FLINK):
                yield member, "lib"
            if name.startswith(_PROMETHEUS):
                yield member, "plugins/metrics-prometheus"
