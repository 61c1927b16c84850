"""What statistics cost a stream whose firings are small: counting a firing, beside the firing.

    python -m benchmarks.counting [--scale 1]

A firing without a runner, all its state through bytes, and after it the rows of statistics that
are made of it, as a runner's stage makes them. The ratio is of the time of both to that of the
firing alone.
"""

import sys
import time
from typing import Any

from benchmarks.histories import CONTENTS, by_history

MEASURED = 7
HISTORIES = (40, 400)
ACTIVE = (1, 10, 100, 1_000)

_HEADS = [
    "history, contents",
    "users active",
    "events",
    "ms a firing",
    "ms counting it",
    "rows of statistics",
    "with statistics to without",
]


def main() -> int:
    """Measures each length of history in a process of its own and prints a table."""
    return by_history(
        "benchmarks.counting",
        __doc__,
        HISTORIES,
        measurements,
        f" a shard, {CONTENTS} contents a session",
        _HEADS,
        lambda history, _, found: [_row(history, one) for one in found],
    )


def measurements(history: int, users: int) -> list[dict[str, Any]]:
    """One entry for each number of users active."""
    from benchmarks.one_shard import filled, new_sessions, spec_with

    spec = spec_with(4096, None)
    shard = filled(spec, CONTENTS, users, history)
    out, number = [], 0
    for active in (many for many in ACTIVE if many <= users):
        firing, counting, events, rows = 0.0, 0.0, 0, 0
        for _ in range(MEASURED):
            observed, final = new_sessions(spec, CONTENTS, active, number)
            fired = shard.fire(observed, final)
            took, made = _counted(fired.tally, spec, number)
            firing, counting = firing + fired.seconds, counting + took
            events, rows, number = events + observed.num_rows, rows + made, number + 1
        each = {"firing": firing, "counting": counting, "events": events, "rows": rows}
        out.append({"active": active} | {name: sum_ / MEASURED for name, sum_ in each.items()})
    return out


def _counted(tally: Any, spec: Any, number: int) -> tuple[float, int]:
    """The seconds that the statistics of a firing take, and their rows."""
    from transforms.core.counted_firing import of_firing
    from transforms.core.statistics import Mark, as_table

    begun = time.perf_counter()
    table = as_table(of_firing(tally, spec), [Mark("shard 0", number)], number)
    return time.perf_counter() - begun, table.num_rows


def _row(history: int, one: dict[str, Any]) -> list[str]:
    return [
        f"{history:,}",
        f"{one['active']:,}",
        f"{one['events']:,.0f}",
        f"{1000 * one['firing']:.1f}",
        f"{1000 * one['counting']:.1f}",
        f"{one['rows']:,.0f}",
        f"**{(one['firing'] + one['counting']) / one['firing']:.2f}**",
    ]


if __name__ == "__main__":
    sys.exit(main())
