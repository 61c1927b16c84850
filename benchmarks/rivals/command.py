"""The command line that the rivals share: SPEC --input IN --output OUT."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from schemas.load import load_spec
from schemas.spec import Spec


def rival(run: Callable[[Spec, Path, Path], int], description: str) -> None:
    """Runs a rival from the command line and prints one line of JSON: seconds and sequences."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("spec", type=Path)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    spec = load_spec(given.spec)
    begun = time.perf_counter()
    sequences = run(spec, given.input, given.output)
    print(json.dumps({"seconds": time.perf_counter() - begun, "sequences": sequences}))
