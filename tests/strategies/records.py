"""Raw records of a source: a value for every field that the spec names, by its use."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from tests.strategies.weights import id_lists, ids, now_and_then, weighted

Record = dict[str, Any]
Fields = dict[str, st.SearchStrategy[Any]]
_USERS: dict[str, list[Any]] = {"1": ["1", 1, 1.0], "ü": ["ü"], "1.5": ["1.5"]}
USERS = list(_USERS)
_KINDS: list[Any] = ["VIEW", "LIKE", "BUY", ["VIEW", "LIKE"], ["BUY", None, "BUY"], []]
_LEAVING: list[Any] = ["OUT", ["OUT", "LIKE"]]
_FLAGS: list[Any] = [True, False, 0, 1, -0.5, "1", "0.0", "true", "false", "0e5", None]
_PRICES: list[Any] = [4, 5, 5.0, "5", 20.49, 20.5, "20.50", 100, "1e2", -1, 1000, None]
_ALL_BAD: list[Any] = [{"x": 1}, [{}], [[1]]]
_NOBODY: list[Any] = [None, ""]
_NO_USERS: list[Any] = [True, 0.5, [1], {}]
_NO_TIMES: list[Any] = ["noon", "", True, -1, "9e99", "1e400"]
_NO_ACTIONS: list[Any] = ["SELL", ["VIEW", "SELL"], 7]
_NO_FLAGS: list[Any] = ["yes", "", [True], "1e"]
_NO_PRICES: list[Any] = ["dear", True, "", "5 ", "٥"]
_EVENT_IDS: list[Any] = [*range(8), "a", "b", "\uffff", "\U0001f600", 1.5, True, "", "7", None]


def put(record: Record, path: str, value: Any) -> None:
    """Set the field at a path, making the records on the way."""
    *way, last = [step.replace("\\.", ".") for step in re.split(r"(?<!\\)\.", path)]
    for step in way:
        record = record.setdefault(step, {})
    record[last] = value


@st.composite
def records(draw: st.DrawFn, source: dict[str, Any], fields: Fields, user: str, ms: int) -> Record:
    """A valid record of a user (by its text) at a time in ms.

    fields: what `fields_of` gives of the source.
    """
    record: Record = {}
    for path, strategy in fields.items():
        value = draw(strategy)
        if value is not None or draw(st.booleans()):  # null or missing
            put(record, path, value)
    put(record, source["user"], draw(st.sampled_from(_USERS[user])))
    time = source["time"]
    field, unit = (time, "ms") if isinstance(time, str) else (time["field"], time["unit"])
    put(record, field, draw(st.sampled_from(_written(ms, unit))))
    if draw(now_and_then(10)):
        put(record, "junk", draw(ids()))
    return record


def fields_of(source: dict[str, Any], leave: bool = False) -> Fields:
    """The strategies of a source's fields, but user and time; `leave`: with an end mark."""
    event_id, actions = source.get("event_id", []), source.get("actions", {})
    found: Fields = {path: st.sampled_from(_EVENT_IDS) for path in _listed(event_id)}
    found |= {path: st.sampled_from(_FLAGS) for path in actions.get("flags", {}).values()}
    found |= {path: id_lists(3) for path in source.get("categories", {}).values()}
    found |= {path: ids() for path in source.get("dropped", [])}
    if "item" in source:
        found[source["item"]] = weighted((8, [1, 2, "1", 2.0, 3]), (1, [None]), (1, ["", "x", 0]))
    if source.get("end", {}).get("field") == "bye":
        found["bye"] = st.sampled_from([True, 1, ["x", "true"]] if leave else [None, 0, False])
    if "field" in actions:
        leaves = leave and source.get("end", {}).get("field") == actions["field"]
        found[actions["field"]] = st.sampled_from(_LEAVING if leaves else [*_KINDS, None])
    for where in source.get("features", {}).values():
        found |= _of_feature(where)
    return found


def _of_feature(where: dict[str, Any]) -> Fields:
    """The strategies of the fields of one feature: null as often as not."""
    if "bins" in where:
        return {where["field"]: st.one_of(st.none(), st.sampled_from(_PRICES))}
    if "field" in where:
        return {where["field"]: st.one_of(st.none(), ids(), weighted((1, [1, 2])))}
    return {path: st.one_of(st.none(), id_lists()) for path in where.values()}


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _written(ms: int, unit: str) -> list[Any]:
    """A time in ms as records of a unit may write it, also with what floor takes off."""
    whole, rest = divmod(ms, 1000)
    if unit == "ms":
        return [ms, ms, float(ms), str(ms), f"{ms}.999"]
    if unit == "s":
        return [ms / 1000, f"{whole}.{rest:03}", f"{whole}.{rest:03}999999", f"{ms}e-3"]
    if unit == "us":
        return [ms * 1000, ms * 1000 + 999, str(ms * 1000)]
    date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    east = date.astimezone(timezone(timedelta(hours=5, minutes=30)))
    plain = date.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return [date.isoformat(), east.isoformat(), plain, f"{plain}Z", f"{plain}999"]


def faults(source: dict[str, Any]) -> st.SearchStrategy[tuple[str, Any]]:
    """A (path, value) that makes a valid record of a source a rejected one, at most."""
    time, actions = source["time"], source.get("actions", {})
    at = time if isinstance(time, str) else time["field"]
    looked_at = sorted(set(fields_of(source)) - set(source.get("dropped", [])))
    found = [
        *([(source["user"], bad) for bad in values] for values in (_NO_USERS, _NOBODY)),
        *([(at, bad) for bad in values] for values in (_NO_TIMES, _NO_TIMES, [None])),
        [(path, bad) for path in looked_at for bad in _ALL_BAD],
        [(path, bad) for path in actions.get("flags", {}).values() for bad in _NO_FLAGS],
        [("price", bad) for bad in _NO_PRICES if "price" in source.get("features", {})],
        *[[(actions["field"], bad) for bad in _NO_ACTIONS if "field" in actions]] * 3,
    ]
    return st.one_of(*(st.sampled_from(values) for values in found if values))
