"""Writes the stored state anew: `python -m tests.transforms.state.write`.

Only on purpose: state that running jobs hold is then no longer what the tests read. See "How state
grows" in docs/ARCHITECTURE.md.
"""

import json
from pathlib import Path

from schemas.load import load_spec
from tests.transforms.state.cells import restriction, stored, written
from tests.transforms.state.names import names_of

FOLDER = Path(__file__).parent
NAMES, CELLS = FOLDER / "names.json", FOLDER / "cells.json"
SHOP = FOLDER.parents[2] / "examples" / "shop" / "spec.yaml"


def main() -> None:
    """Both files."""
    cells = {**written(stored()), "restriction": restriction()}
    for path, value in ((NAMES, names_of(load_spec(SHOP))), (CELLS, cells)):
        path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
