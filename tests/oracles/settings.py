"""The numbers that a feature spec sets, with the defaults of those that it leaves out."""

import re
from dataclasses import dataclass
from typing import Any

_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class Settings:
    """What the rules ask of a spec; every duration in milliseconds."""

    actions: list[str]
    features: list[str]
    members: dict[str, int]  # the largest size of each set-valued feature
    categories: list[str]
    gap: int
    max_contents: int | None
    attribution: int
    max_kept: int  # N, contents
    max_tokens: int  # M
    retention: int | None
    sampling: tuple[int, int] | None  # c and the seed


def milliseconds(duration: str) -> int:
    """A duration such as `30m`, in milliseconds."""
    match = re.fullmatch(r"(\d+)(ms|s|m|h|d)", duration)
    if match is None:
        raise ValueError(f"{duration!r} is not a duration such as 250ms, 30s, 10m, 2h or 7d")
    return int(match[1]) * _MS[match[2]]


def _members(features: dict[str, Any]) -> dict[str, int]:
    """S6: the sets among the features, with the number of members that each may hold."""
    sets: dict[str, int] = {}
    for name, feature in features.items():
        declared: dict[str, Any] = {"kind": feature} if isinstance(feature, str) else feature
        if declared["kind"] == "set":
            sets[name] = declared.get("max_members", 4096)
    return sets


def settings_of(spec: dict[str, Any]) -> Settings:
    """The settings of a spec as its YAML reads."""
    session, history = spec.get("session", {}), spec.get("history", {})
    sampling, contents = spec.get("sampling"), history.get("contents", 4096)
    return Settings(
        actions=spec.get("actions", []),
        features=list(spec.get("features", {})),
        members=_members(spec.get("features", {})),
        categories=spec.get("categories", []),
        gap=milliseconds(session.get("gap", "30m")),
        max_contents=session.get("max_contents"),
        attribution=milliseconds(spec.get("attribution", "0s")),
        max_kept=contents,
        max_tokens=history.get("tokens", 4 * contents),
        retention=milliseconds(spec["retention"]) if "retention" in spec else None,
        sampling=(sampling["tokens"], sampling.get("seed", 0)) if sampling else None,
    )
