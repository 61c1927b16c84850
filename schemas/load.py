"""A feature spec, or another checked document, from YAML; every error of one as a line that a
person can act on."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.parts import Part
from schemas.problems import Place, Problem, Problems, SpecError
from schemas.spec import Spec
from schemas.yaml_text import MOST_BYTES, Document, read_yaml

SPEC_FILE = "spec.yaml"
"""The file in the folder of a run that holds its spec."""

_TEXTS = {
    "dict_type": "must be a mapping, as in {{key: value}}",
    "model_type": "must be a mapping, as in {{key: value}}",
    "tuple_type": "must be a list, as in [one, two]",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "too_short": "must have at least one entry",
}
_ECHOES = ("default_factory_not_called",)  # said of what depends on a value already reported
_REQUIRED: dict[str | int, str] = {
    "version": "write version: 1",
    "name": "name what the spec describes, as in name: shop",
    "sources": "list the topics or files to read, each with user and time",
    "user": "name the field that holds the user",
    "time": "name the field that holds the event time",
    "field": "name the field of the record",
    "in": "list the values, as in [LOGOUT]",
    "tokens": "write a number of tokens, as in 2048",
    "kind": "write scalar or set",
}
_LONGEST_VALUE = 60

Documented = TypeVar("Documented", bound=Part)


def load_spec(path: str | Path) -> Spec:
    """The spec in a file. Raises SpecError."""
    return load_document(path, Spec, "spec", "version: 1")


def parse_spec(text: str, name: str = "spec.yaml") -> Spec:
    """The spec in a YAML text; `name` stands in errors for the file. Raises SpecError."""
    return parse_document(text, name, Spec, "spec", "version: 1")


def spec_text(spec: Spec) -> str:
    """A spec as a document that reads as the same spec again: JSON, which is YAML too."""
    return spec.model_dump_json(by_alias=True, exclude_unset=True, indent=2) + "\n"


def load_document(path: str | Path, kind: type[Documented], called: str, begins: str) -> Documented:
    """A document of a kind in a file; errors call it so. Raises SpecError."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or str(error)
        raise SpecError([f"cannot read the {called}: {reason} ({path})"]) from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SpecError([f"is not UTF-8 text ({path}, line {line})"]) from None
    return parse_document(text, str(path), kind, called, begins)


def parse_document(
    text: str, name: str, kind: type[Documented], called: str, begins: str
) -> Documented:
    """A document of a kind in a YAML text; `begins` shows how one does. Raises SpecError."""
    document = read_yaml(text, name)
    if not isinstance(document.value, Mapping):
        wrong = f"is no {called}; write a mapping that begins with {begins}"
        raise SpecError([f"{wrong} ({name}, line {document.line_of(())})"])
    try:
        return kind.model_validate(document.value)
    except ValidationError as error:
        problems = [problem for details in error.errors() for problem in _problems(details)]
    problems.sort(key=lambda problem: document.line_of(problem.place))
    raise SpecError(_line(problem, document) for problem in problems)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a spec as YAML writes it, for editors and other checkers."""
    return Spec.model_json_schema(by_alias=True, mode="validation")


def _problems(details: ErrorDetails) -> Iterator[Problem]:
    place = tuple(part for part in details["loc"] if not _is_inner(part))
    context = details.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Problems):
        for problem in cause.problems:
            yield Problem((*place, *problem.place), problem.text)
    elif isinstance(cause, ValueError):
        yield Problem(place, str(cause))
    elif details["type"] in _ECHOES or (details["type"] == "too_short" and details["input"]):
        return
    elif details["type"] == "missing":
        yield Problem(place, f"is required; {_REQUIRED.get(place[-1], 'see docs/spec.md')}")
    elif details["type"] == "literal_error":
        yield Problem(place, f"must be {context['expected']}")
    else:
        text = _TEXTS.get(details["type"])
        yield Problem(place, text.format(**context) if text else details["msg"])


def _is_inner(part: str | int) -> bool:
    """Whether pydantic put this part into a place for itself: no key of the spec is like it."""
    return isinstance(part, str) and (part.startswith("\0") or part == "[key]")


def _line(problem: Problem, document: Document) -> str:
    place, value = _reached(problem.place, document.value)
    subject = _written(place) + ("" if value is _ABSENT else f"={_shown(value)}")
    return f"{subject}: {problem.text} ({document.name}, line {document.line_of(place)})"


_ABSENT = object()


def _reached(place: Place, value: Any) -> tuple[Place, Any]:
    """The place, and the scalar there if there is one; a short form is its own place."""
    for depth, key in enumerate(place):
        if not isinstance(value, Mapping | list):
            return place[:depth], value
        entries = value if isinstance(value, Mapping) else dict(enumerate(value))
        if key not in entries:
            return place, _ABSENT
        value = entries[key]
    return place, _ABSENT if isinstance(value, Mapping | list) else value


def _written(place: Place) -> str:
    """A place as `sources.views.actions[1]`; keys that would not be plain there are quoted."""
    parts = []
    for key in place:
        plain = isinstance(key, str) and key.replace("_", "").replace("-", "").isalnum()
        parts.append(f".{key}" if plain else f"[{json.dumps(key, ensure_ascii=False)}]")
    return "".join(parts).removeprefix(".")


def _shown(value: Any) -> str:
    """A scalar as it would be written, cut where it is long; quoted where it seems another."""
    plain = isinstance(value, str) and value.isprintable() and value.strip("0123456789. ")
    text = value if plain else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
