"""S2, S3: the fields of a record that a source names, and its event_id."""

from typing import Any

from tests.oracles import fields
from tests.oracles.fields import Record
from tests.oracles.raw import RejectionError
from tests.oracles.text import canonical_json, hash_of, is_scalar


def paths_of(source: dict[str, Any]) -> set[str]:
    """S2: the path of every field that the source names, except `dropped`, as it writes it."""
    time, event_id, actions = source["time"], source.get("event_id"), source.get("actions", {})
    paths = [source["user"], time if isinstance(time, str) else time["field"], source.get("item")]
    paths += event_id if isinstance(event_id, list) else [event_id]
    paths += [actions.get("field"), *actions.get("flags", {}).values()]
    paths += source.get("categories", {}).values()
    paths += [source[match]["field"] for match in ("end", "where") if match in source]
    for where in source.get("features", {}).values():
        paths += [where.get(use) for use in ("field", "add", "remove", "snapshot")]
    return {path for path in paths if path is not None}


def _mapped(source: dict[str, Any], record: Record) -> dict[str, Any]:
    """S2: the mapped fields as a flat object, nulls left out."""
    values = {path: fields.read(record, path) for path in paths_of(source)}
    return {path: value for path, value in values.items() if value is not None}


def content_of(source: dict[str, Any], record: Record) -> str:
    """S3: the canonical content, by which copies of a record are compared."""
    return canonical_json(_mapped(source, record))


def event_id_of(source: dict[str, Any], record: Record) -> str:
    """S2: a field's text, or the JSON of several fields; the hash of the content without one."""
    event_id = source.get("event_id")
    if isinstance(event_id, list):
        values = [fields.read(record, path) for path in event_id]
        if not all(value is None or is_scalar(value) for value in values):
            raise RejectionError("bad_type")
        if any(value is not None for value in values):
            return canonical_json(values)
    elif event_id is not None:
        text = fields.text(record, event_id)
        if text is not None:
            return text
    return hash_of(_mapped(source, record))
