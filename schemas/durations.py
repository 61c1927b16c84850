"""Durations as a spec writes them, in whole milliseconds: `250ms`, `30s`, `10m`, `2h`, `7d`."""

import re
from typing import Any

UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
PATTERN = r"^[0-9]+(ms|s|m|h|d)$"
LONGEST = 100_000 * UNITS["d"]

_WRITTEN = re.compile(r"(?P<count>[0-9]+)(?P<unit>ms|s|m|h|d)", re.ASCII)
_MEANT = re.compile(r"\s*(?P<count>[0-9]+)\s*(?P<word>[A-Za-z]+)\.?\s*", re.ASCII)
_WORDS = {
    "ms": ("msec", "msecs", "millis", "millisecond", "milliseconds"),
    "s": ("sec", "secs", "second", "seconds"),
    "m": ("min", "mins", "minute", "minutes"),
    "h": ("hr", "hrs", "hour", "hours"),
    "d": ("day", "days"),
}


def parse_duration(text: Any) -> int:
    """A duration in ms. Raises ValueError, saying what would be right, for anything else."""
    match = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"is no duration; {_advice(text)}")
    count = int(match["count"]) if len(match["count"]) < 20 else LONGEST + 1
    if count * UNITS[match["unit"]] > LONGEST:
        raise ValueError("is too long; a duration is at most 100000d")
    return count * UNITS[match["unit"]]


def written(duration: int) -> str:
    """A duration in ms as a spec writes it, in the largest unit that gives a whole number."""
    unit = next((u for u in reversed(UNITS) if duration and duration % UNITS[u] == 0), "s")
    return f"{duration // UNITS[unit]}{unit}"


def _advice(text: Any) -> str:
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return f"add a unit: {text}ms, {text}s, {text}m, {text}h or {text}d"
    meant = _MEANT.fullmatch(text) if isinstance(text, str) else None
    for unit, words in _WORDS.items():
        if meant and meant["word"].lower() in (unit, *words):
            return f"write {meant['count']}{unit}"
    return "write a whole number and its unit, as in 250ms, 30s, 10m, 2h or 7d"
