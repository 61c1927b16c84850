"""S1: one record becomes what it observes. The plain form; `table` does the same on columns."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from schemas.ids import HASHED, canonical_json, content_id, id_of
from schemas.spec import ActionField, ActionFlags, Match, ScalarField, SetDelta
from transforms.core.decode.plan import Plan, texts_of
from transforms.core.decode.reject import Reason, Rejected
from transforms.core.decode.values import (
    flag,
    found,
    number,
    scalar_text,
    scalar_texts,
    shown,
    time_ms,
    user_text,
)

Row = dict[str, Any]
"""One row of `observation_schema`; absent columns are null."""

Names = dict[tuple[str, int], str]
"""Texts of hashed ids, by kind (item, feature:NAME, category:NAME) and id."""


def observe(
    record: Mapping[str, Any], plan: Plan, timestamp: int | None, names: Names
) -> Row | None:
    """What a record observes, or None where the filter leaves it out.

    `timestamp` is Kafka's, ms. Texts of hashed ids are added to `names`. Raises Rejected.
    """
    fields = {path: found(record, keys) for path, keys in plan.fields.items()}
    source = plan.source
    ends = _matches(fields, source.end)
    if source.where and not (_matches(fields, source.where) or ends):
        return None
    user = user_text(fields[source.user], source.user)
    time = time_ms(fields[source.time.field], source.time.unit, source.time.field)
    try:
        _not_ahead(time, timestamp, plan.spec.watermark.skew)
        noted: Names = {}
        row = {"user": user, "time": time, "source": plan.number, "end": ends}
        row |= {"erase": source.erase, "joined": False, "actions": 0}
        row |= _identity(fields, plan)
        row |= dict(_engagement(fields, plan, noted))
        row |= dict(_features(fields, plan, noted))
    except Rejected as rejected:
        raise Rejected(rejected.reason, rejected.detail, time) from None
    names |= noted
    return row


def _matches(fields: Row, match: Match | None) -> bool:
    if match is None:
        return False
    texts = scalar_texts(fields[match.field], match.field)
    return not texts_of(match).isdisjoint(texts)


def _not_ahead(time: int, timestamp: int | None, skew: int) -> None:
    if timestamp is not None and time > timestamp + skew:
        detail = f"{time - timestamp} ms ahead of its Kafka timestamp; at most {skew} are believed"
        raise Rejected(Reason.AHEAD_OF_CLOCK, detail)


def _identity(fields: Row, plan: Plan) -> Row:
    """The event id, and the canonical content where copies may differ in it (S2, S3)."""
    ids = [fields[path] for path in plan.event_id_fields]
    for path, value in zip(plan.event_id_fields, ids, strict=True):
        if value is not None:
            scalar_text(value, path)
    try:
        content = canonical_json(
            {path: fields[path] for path, _ in plan.content_fields if fields[path] is not None}
        )
        if all(value is None for value in ids):
            return {"event_id": content_id(content), "content": None}
        single = isinstance(plan.source.event_id, str)
        event_id = scalar_text(ids[0], plan.event_id_fields[0]) if single else canonical_json(ids)
    except ValueError as error:
        raise Rejected(Reason.BAD_TYPE, str(error)) from None
    return {"event_id": event_id, "content": content}


def _engagement(fields: Row, plan: Plan, names: Names) -> Iterator[tuple[str, Any]]:
    """The item, its actions and categories; they are looked at only where there is an item."""
    item = None if plan.source.item is None else fields[plan.source.item]
    for name in plan.spec.categories:
        yield f"category:{name}", []
    if item is None:
        return
    yield "item", _id(scalar_text(item, str(plan.source.item)), "item", names)
    yield "actions", _actions(fields, plan)
    for name, path in plan.source.categories.items():
        texts = dict.fromkeys(scalar_texts(fields[path], path))
        ids = dict.fromkeys(_id(text, f"category:{name}", names) for text in texts)
        yield f"category:{name}", list(ids)


def _actions(fields: Row, plan: Plan) -> int:
    actions = plan.source.actions
    if isinstance(actions, ActionField):
        return _mask(scalar_texts(fields[actions.field], actions.field), plan, actions.field)
    if isinstance(actions, ActionFlags):
        flags = actions.flags.items()
        return sum(plan.bits[action] for action, path in flags if flag(fields[path], path))
    return plan.always()


def _mask(texts: list[str], plan: Plan, path: str) -> int:
    mask = 0
    for text in texts:
        if text in plan.no_actions:
            continue
        if text not in plan.bits:
            known = ", ".join(plan.bits)
            raise Rejected(Reason.UNKNOWN_ACTION, f"{path}={shown(text)}: must be one of {known}")
        mask |= plan.bits[text]
    return mask


def _features(fields: Row, plan: Plan, names: Names) -> Iterator[tuple[str, Any]]:
    for name, field in plan.source.features.items():
        kind = f"feature:{name}"
        if isinstance(field, ScalarField):
            yield f"scalar:{name}", _scalar(fields[field.field], field, kind, names)
        elif isinstance(field, SetDelta):
            for part, path in (("add", field.add), ("remove", field.remove)):
                if path is not None:
                    yield f"{part}:{name}", _ids(fields[path], path, kind, names)
        else:
            value = fields[field.snapshot]
            yield f"snapshot:{name}", _ids(value, field.snapshot, kind, names)


def _scalar(value: Any, field: ScalarField, kind: str, names: Names) -> int | None:
    if value is None:
        return 0 if field.nulls == "value" else None
    if field.bins is not None:
        edges = [Decimal(repr(edge)) for edge in field.bins]
        return 1 + bisect_right(edges, number(value, field.field))
    return _id(scalar_text(value, field.field), kind, names)


def _ids(value: Any, path: str, kind: str, names: Names) -> list[int] | None:
    if value is None:
        return None
    return [_id(text, kind, names) for text in scalar_texts(value, path)]


def _id(text: str, kind: str, names: Names) -> int:
    number = id_of(text)
    if number >= HASHED:
        names[kind, number] = text
    return number
