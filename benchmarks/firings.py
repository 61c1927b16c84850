"""A shard's firings without a runner: what they cost by the users active and histories read.

    python -m benchmarks.firings [--scale 1]

All state goes through bytes between firings. The ratio is of sessions a second to those where
every user of the shard is active: what it costs that few are.
"""

import sys
from typing import Any

from benchmarks.histories import CONTENTS, by_history

MEASURED = 3
HISTORIES = (40, 400, 4_000)
ACTIVE = (1.0, 0.1, 0.01)


_HEADS = [
    "history, contents",
    "active",
    "ms a firing",
    "sessions/s",
    "events/s",
    "M tokens/s out",
    "bytes of state a token",
    "peak MB",
    "sessions/s to all active",
]


def main() -> int:
    """Measures each length of history in a process of its own and prints a table."""
    return by_history(
        "benchmarks.firings",
        __doc__,
        HISTORIES,
        measurements,
        f" a shard, {CONTENTS} contents a session",
        _HEADS,
        lambda history, peak_mb, found: [_row(history, peak_mb, one) for one in found],
    )


def measurements(history: int, users: int) -> list[dict[str, Any]]:
    """One entry for each share of users active."""
    from benchmarks.one_shard import filled, new_sessions, spec_with

    spec = spec_with(4096, None)
    shard = filled(spec, CONTENTS, users, history)
    bytes_a_token = shard.history_bytes / (2 * users * history)
    out, number = [], 0
    for share in ACTIVE:
        seconds = sessions = events = tokens = 0.0
        for _ in range(MEASURED):
            rows, final = new_sessions(spec, CONTENTS, max(1, round(users * share)), number)
            fired = shard.fire(rows, final)
            seconds, sessions = seconds + fired.seconds, sessions + fired.sessions
            events, tokens = events + rows.num_rows, tokens + fired.tokens
            number += 1
        rates = {"sessions": sessions / seconds, "events": events / seconds}
        rates |= {"tokens": tokens / seconds, "ms": 1000 * seconds / MEASURED}
        out.append({"share": share, "bytes": bytes_a_token, **rates})
    return [one | {"ratio": one["sessions"] / out[0]["sessions"]} for one in out]


def _row(history: int, peak_mb: float, one: dict[str, Any]) -> list[str]:
    return [
        f"{history:,}",
        f"{one['share']:.0%}",
        f"{one['ms']:.0f}",
        f"{one['sessions']:,.0f}",
        f"{one['events']:,.0f}",
        f"{one['tokens'] / 1e6:.1f}",
        f"{one['bytes']:.1f}",
        f"{peak_mb:.0f}",
        f"**{one['ratio']:.2f}**",
    ]


if __name__ == "__main__":
    sys.exit(main())
