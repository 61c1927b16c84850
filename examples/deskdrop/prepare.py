"""Makes the input of the Deskdrop example: the published interactions, with a device family."""

import argparse
import csv
import lzma
import os
import sys
from pathlib import Path

PUBLISHED = "deskdrop/users_interactions.csv.xz"

FAMILIES = {
    "Android - Native Mobile App": "android app",
    "iOS - Native Mobile App": "ios app",
    "iPad": "ipad",
    "iPhone": "iphone",
    "Android": "android",
    "Windows": "windows",
    "Macintosh": "mac",
    "CrOS": "chromeos",
    "Linux": "linux",
}
"""What a user agent contains, and the family that it is of; the first that fits."""


def family(agent: str) -> str:
    """The device family of a user agent, `other` for one of none; empty for no agent."""
    known = (name for mark, name in FAMILIES.items() if mark in agent)
    return next(known, "other") if agent else ""


def prepare(data: Path, output: Path) -> int:
    """Writes interactions.csv to a folder; the number of records. FileNotFoundError: no data."""
    with lzma.open(data / PUBLISHED, "rt", encoding="utf-8", newline="") as published:
        records = csv.DictReader(published)
        columns = [*(records.fieldnames or []), "device"]
        output.mkdir(parents=True, exist_ok=True)
        with (output / "interactions.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            count = 0
            for record in records:
                writer.writerow({**record, "device": family(record["userAgent"])})
                count += 1
    return count


def main() -> None:
    """The command: reads from $PHIA_DATA, writes to --output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("out/deskdrop/input"))
    output = parser.parse_args().output
    data = Path(os.environ.get("PHIA_DATA", "../shared/data"))
    try:
        count = prepare(data, output)
    except FileNotFoundError:
        sys.exit(f"{data / PUBLISHED}: not there; set PHIA_DATA to the folder that has {PUBLISHED}")
    sys.stdout.write(f"{count:,} records in {output / 'interactions.csv'}\n")


if __name__ == "__main__":
    main()
