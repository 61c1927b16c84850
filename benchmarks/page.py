"""The analysts' page of a large run: how long it takes to make, how large it is, how soon it opens.

    python -m benchmarks.page [--events 10000000]

Runs `phia run` over that many events and `phia report` over what it wrote, and opens the page in
Chromium five times, with nothing kept between them: from the request to the load event, to which
all is drawn but what is off the screen.
"""

import argparse
import json
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.measure import machine, measured, module, phia, table

CONTENTS, LONGEST = 8, 400
OPENED = 5
LIMIT_S = 1_800.0


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    given = parser.parse_args()
    print(machine(), "\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder, log = Path(scratch), Path(scratch) / "log"
        workload = module("benchmarks.inputs", folder, CONTENTS, given.events, LONGEST)
        events = json.loads(measured(workload, log, LIMIT_S).printed)["events"]
        read, out = folder / "in", folder / "out"
        run = phia("run", folder / "spec.yaml", "--input", read, "--output", out)
        ran = measured(run, log, LIMIT_S)
        page = folder / "page.html"
        made = measured(phia("report", out, "--html", page), log)
        rows = sum(file.stat().st_size for file in (out / "statistics").glob("*.parquet"))
        heads = ["events", "run s", "statistics MB", "report s", "peak MB", "page MB", "opens s"]
        row = [
            f"{events:,}", f"{ran.seconds:.0f}", f"{rows / 1e6:.1f}", f"{made.seconds:.1f}",
            f"{made.peak_mb:.0f}", f"{page.stat().st_size / 1e6:.2f}", f"{opens(page):.2f}",
        ]  # fmt: skip
        print(table(heads, [row]))


def opens(page: Path) -> float:
    """The median time that the page takes to open, s."""
    from tests.pipeline.report.browser import browsing, opened

    took = "performance.getEntriesByType('navigation')[0].loadEventEnd"
    with browsing() as browser:
        times = []
        for _ in range(OPENED):
            with opened(browser, page.as_uri()) as seen:
                seen.page.wait_for_function(f"{took} > 0")
                times.append(float(seen.page.evaluate(took)) / 1000)
    return median(times)


if __name__ == "__main__":
    main()
