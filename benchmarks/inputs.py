"""Writes a workload as files, as a process of its own: `python -m benchmarks.inputs --help`."""

import argparse
import json
from pathlib import Path

from benchmarks.workloads import sized, write_files


def main() -> None:
    """Writes folder/in and folder/spec.yaml and prints the number of events as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("contents", type=int, help="contents a session")
    parser.add_argument("events", type=int, help="about how many")
    parser.add_argument("longest", type=int, help="longest history, contents")
    parser.add_argument("--form", choices=("arrow", "json"), default="arrow")
    given = parser.parse_args()
    workload = sized(given.contents, given.events, longest=given.longest)
    print(json.dumps({"events": write_files(workload, given.form, given.folder)}))


if __name__ == "__main__":
    main()
