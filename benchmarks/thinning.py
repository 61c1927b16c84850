"""Thinning (S14): tokens out and time a session as histories grow, with it and without.

    python -m benchmarks.thinning [--scale 1]

One shard without a runner, every user active; each length of history in a process of its own. The
ratio is of the time a session without sampling to that with it.
"""

import sys
from typing import Any

from benchmarks.histories import CONTENTS, by_history

BUDGET, MEASURED = 512, 4
HISTORIES = (100, 400, 1_000, 4_000)


_HEADS = [
    "history, contents",
    "tokens a session, all",
    "tokens a session, sampled",
    "µs a session, all",
    "µs a session, sampled",
    "all / sampled",
    "peak MB",
]


def main() -> int:
    """Measures each length of history and prints a table."""
    return by_history(
        "benchmarks.thinning",
        __doc__,
        HISTORIES,
        measurements,
        f", sampling to {BUDGET} tokens a session",
        _HEADS,
        lambda history, peak_mb, found: [_row(history, peak_mb, found)],
    )


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
