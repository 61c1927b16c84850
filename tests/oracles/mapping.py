"""S1 and Records: one raw record becomes observations, is left out, or is rejected."""

from typing import Any

from tests.oracles import fields
from tests.oracles.content import content_of, event_id_of
from tests.oracles.fields import Record
from tests.oracles.observations import (
    END,
    ENGAGEMENT,
    ERASURE,
    FEATURE,
    Engagement,
    Mapped,
    Mark,
    Named,
    Observation,
    Place,
    Scalar,
)
from tests.oracles.raw import RejectionError
from tests.oracles.settings import Settings
from tests.oracles.text import HASHED, id_of

Yield = list[tuple[int, int, Any]]  # rank, position of the feature, what
Texts = set[tuple[str, int, str]]


def map_record(settings: Settings, name: str, source: dict[str, Any], raw: Record) -> Mapped | None:
    """S1: what a record yields; None where `where` leaves it out; a rejection of it whole."""
    ended, wanted = fields.matches(raw, source.get("end")), fields.matches(raw, source.get("where"))
    if "where" in source and not (wanted or ended):
        return None
    user, time = fields.user(raw, source["user"]), _time(source, raw)
    event_id = event_id_of(source, raw)
    texts: Texts = set()
    found = [
        *_engagement(settings, source, raw, texts),
        *_features(settings, source, raw, texts),
        *([(END, 0, Mark())] if ended else []),
        *([(ERASURE, 0, Mark())] if source.get("erase") else []),
    ]
    observations = [
        Observation(Place(time, rank, at, event_id.encode(), name.encode()), event_id, name, what)
        for rank, at, what in found
    ]
    dropped = [path for path in source.get("dropped", []) if fields.read(raw, path) is not None]
    content = content_of(source, raw)
    return Mapped(user, time, event_id, name, content, observations, texts, dropped)


def _time(source: dict[str, Any], raw: Record) -> int:
    """SPEC, time: `time: ts` is short for a field in milliseconds."""
    time = source["time"]
    if isinstance(time, str):
        return fields.time(raw, time, "ms")
    return fields.time(raw, time["field"], time.get("unit", "ms"))


def _engagement(settings: Settings, source: dict[str, Any], raw: Record, texts: Texts) -> Yield:
    """S1: at most one engagement; without an item actions and categories are not looked at."""
    item = fields.text(raw, source["item"]) if "item" in source else None
    if item is None:
        return []
    mask = 0
    for action in _actions(source, raw):
        if action not in settings.actions:
            raise RejectionError("unknown_action")
        mask |= 1 << settings.actions.index(action)
    categories = {}
    for name in settings.categories:
        path = source.get("categories", {}).get(name)
        named = fields.texts(raw, path) or [] if path else []
        once = list(dict.fromkeys(named))  # repeats left out, in the order given
        categories[name] = [_seen(texts, f"category:{name}", one) for one in once]
    return [(ENGAGEMENT, 0, Engagement(_seen(texts, "item", item), mask, categories))]


def _actions(source: dict[str, Any], raw: Record) -> list[str]:
    """SPEC, actions: from a field, from flags, or always the same; none given, an impression."""
    actions = source.get("actions", {"always": []})
    if "always" in actions:
        return list(actions["always"])
    if "flags" in actions:
        return [name for name, path in actions["flags"].items() if fields.flag(raw, path)]
    named, end = fields.texts(raw, actions["field"]) or [], source.get("end")
    if end and end["field"] == actions["field"]:  # an end mark's value is no action
        named = [one for one in named if not fields.matches({"it": one}, {**end, "field": "it"})]
    return named


def _features(settings: Settings, source: dict[str, Any], raw: Record, texts: Texts) -> Yield:
    """S1: any number of feature observations, by the position of the feature in the spec."""
    found: Yield = []
    for at, name in enumerate(settings.features):
        where = source.get("features", {}).get(name)
        if where is None:
            continue
        read = _named if name in settings.members else _scalar
        what = read(where, raw, texts, f"feature:{name}")
        found += [] if what is None else [(FEATURE, at, what)]
    return found


def _scalar(where: dict[str, Any], raw: Record, texts: Texts, kind: str) -> Scalar | None:
    """S1, S5: a value by its id, or by its bin; null is one only with `nulls: value`."""
    value = fields.text(raw, where["field"])
    if value is None:
        return Scalar(0) if where.get("nulls") == "value" else None
    if "bins" in where:
        amount = fields.number(fields.read(raw, where["field"]))
        if amount is None:
            raise RejectionError("bad_type")
        edges = [fields.number(edge) for edge in where["bins"]]
        return Scalar(1 + sum(edge is not None and edge <= amount for edge in edges))
    return Scalar(_seen(texts, kind, value))


def _named(where: dict[str, Any], raw: Record, texts: Texts, kind: str) -> Named | None:
    """S6: members named by a record; an empty list is an observation, null is none."""
    lists = {use: fields.texts(raw, path) for use, path in where.items()}
    if all(one is None for one in lists.values()):
        return None
    ids = {use: [_seen(texts, kind, one) for one in named or []] for use, named in lists.items()}
    whole = "snapshot" in where
    return Named(ids["snapshot"] if whole else ids.get("add", []), ids.get("remove", []), whole)


def _seen(texts: Texts, kind: str, text: str) -> int:
    """Ids: a text's id; the dictionary keeps the texts of the hashed ones."""
    identity = id_of(text)
    if identity >= HASHED:
        texts.add((kind, identity, text))
    return identity
