"""Thinning (S14): tokens out and time a session as histories grow, with it and without.

    python -m benchmarks.thinning [--scale 1]

One shard without a runner, every user active; each length of history in a process of its own. The
ratio is of the time a session without sampling to that with it.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import machine, measured, module, table

USERS, CONTENTS, BUDGET, MEASURED = 1_000, 8, 512, 4
HISTORIES = (100, 400, 1_000, 4_000)


def main() -> int:
    """Measures each length of history and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="times a thousand users a shard")
    parser.add_argument("--history", type=int, help="measure this one alone, print JSON")
    given = parser.parse_args()
    users = round(USERS * given.scale)
    if given.history:
        print(json.dumps(measurements(given.history, users)))
        return 0
    print(machine(), f"\n{users:,} users, sampling to {BUDGET} tokens a session\n")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for history in HISTORIES:
            own = ("--history", history, "--scale", given.scale)
            run = measured(module("benchmarks.thinning", *own), Path(scratch))
            rows.append(_row(history, run.peak_mb, json.loads(run.printed)))
    print(table(_HEADS, rows))
    return 0


_HEADS = [
    "history, contents",
    "tokens a session, all",
    "tokens a session, sampled",
    "µs a session, all",
    "µs a session, sampled",
    "all / sampled",
    "peak MB",
]


def measurements(history: int, users: int) -> dict[str, dict[str, float]]:
    """Tokens and seconds a session, without sampling and with it."""
    from benchmarks.one_shard import filled, new_sessions, spec_with

    shard = filled(spec_with(4096, None), CONTENTS, users, history)
    out, number = {}, 0
    for name, budget in (("all", None), ("sampled", BUDGET)):
        shard.spec = spec_with(4096, budget)
        sessions, tokens, seconds = 0, 0, 0.0
        for _ in range(MEASURED):
            fired = shard.fire(*new_sessions(shard.spec, CONTENTS, users, number))
            sessions, tokens = sessions + fired.sessions, tokens + fired.tokens
            seconds += fired.seconds
            number += 1
        out[name] = {"tokens": tokens / sessions, "seconds": seconds / sessions}
    return out


def _row(history: int, peak_mb: float, of: dict[str, Any]) -> list[str]:
    every, some = of["all"], of["sampled"]
    return [
        f"{history:,}",
        f"{every['tokens']:,.0f}",
        f"{some['tokens']:,.0f}",
        f"{1e6 * every['seconds']:.0f}",
        f"{1e6 * some['seconds']:.0f}",
        f"**{every['seconds'] / some['seconds']:.1f}×**",
        f"{peak_mb:.0f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
