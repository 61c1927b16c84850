"""The fingerprint of what a spec means, which every sequence carries.

Two specs with one fingerprint give, of the same records, the same sequences row by row, with the
same targets. What decides only which rows there are, when, or in what bytes the records come is
left out: the name, formats, `dropped`, the horizon, sampling, watermark and limits, and the order
in which sources, categories and positive actions are written.
"""

from typing import Any

import xxhash

from schemas.ids import canonical_json, text_of
from schemas.spec import ActionAlways, Feature, Match, Source, Spec

RULES = 1
"""The version of the rules in docs/semantics.md; raised when a rule changes what a row says."""


def fingerprint(spec: Spec) -> str:
    """16 hex digits: xxh3-64 of the canonical JSON of `meaning`."""
    return xxhash.xxh3_64_hexdigest(canonical_json(meaning(spec)).encode())


def meaning(spec: Spec) -> dict[str, Any]:
    """What of a spec decides what its rows say, in one form for all ways of writing it."""
    return {
        "rules": RULES,
        "sources": {name: _source(source) for name, source in spec.sources.items()},
        "actions": spec.actions,
        "positive": sorted(spec.positive),
        "features": [_feature(name, feature) for name, feature in spec.features.items()],
        "categories": sorted(spec.categories),
        "session": [spec.session.gap, spec.session.max_contents],
        "attribution": spec.attribution,
        "history": [spec.history.contents, spec.history.tokens],
        "retention": spec.retention,
    }


def _feature(name: str, feature: Feature) -> list[str | int]:
    return [name, feature.kind, *([feature.max_members] if feature.kind == "set" else [])]


def _source(source: Source) -> dict[str, Any]:
    # Without defaults, so that a key that is added to the format one day changes no fingerprint.
    dumped = source.model_dump(exclude={"format", "dropped", "end", "where"}, exclude_defaults=True)
    if isinstance(source.actions, ActionAlways):
        dumped["actions"] = {"always": sorted(source.actions.always)}
    for key, match in (("end", source.end), ("where", source.where)):
        if match:
            dumped[key] = _match(match)
    return dumped


def _match(match: Match) -> list[Any]:
    # Values are compared by their texts, so 1 and "1" are one and their order says nothing.
    return [match.field, sorted({text_of(value) for value in match.values})]
