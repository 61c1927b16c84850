"""The small types that a spec is made of: texts, names, paths, durations, counts."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    StrictInt,
    WithJsonSchema,
    model_validator,
)

from schemas.durations import PATTERN, parse_duration, written
from schemas.ids import text_of
from schemas.paths import split_path
from schemas.problems import Problem, raise_any, suggest

T = TypeVar("T")

LONGEST_NAME = 200
"""Bytes in UTF-8: files are called so, with an ending, and a file system takes 255."""

_SCALAR_SCHEMA = {"type": ["string", "number", "boolean"]}


class Part(BaseModel):
    """A mapping of a spec: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys that do not belong here but are often put here, and what to say of each."""

    @model_validator(mode="before")
    @classmethod
    def _knows_its_keys(cls, written: Any) -> Any:
        # Before the fields: a misspelt key would else also be reported as a missing one.
        if isinstance(written, Mapping):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            unknown = [key for key in written if key not in known]
            raise_any(Problem((key,), cls._of_unknown(key, known)) for key in unknown)
        return written

    @classmethod
    def _of_unknown(cls, key: str, known: Iterable[str]) -> str:
        return cls.elsewhere.get(key) or f"unknown key; {suggest(str(key), known)}"


def scalar(written: Any) -> str | int | float | bool:
    """A string, number or boolean as it is. Raises ValueError for anything else."""
    if not isinstance(written, str | int | float):
        raise ValueError("must be a text, a number, true or false")
    text_of(written)
    return written


def text(written: Any) -> str:
    """The text of a string, number or boolean: `actions: [1, 2]` are "1" and "2"."""
    found = text_of(scalar(written))
    if not found:
        raise ValueError("must not be empty")
    return found


def name(written: Any) -> str:
    """A text that can name a topic, a folder or a column."""
    found = text(written)
    size = len(found.encode())
    if size > LONGEST_NAME:
        raise ValueError(f"has {size} bytes; a name has at most {LONGEST_NAME}")
    if "/" in found or not found.isprintable() or found in (".", ".."):
        raise ValueError("must be a name: no slash, no control characters, not . or ..")
    return found


def path(written: Any) -> str:
    """A text that `split_path` takes."""
    found = text(written)
    split_path(found)
    return found


def unique(values: tuple[T, ...]) -> tuple[T, ...]:
    """The values. Raises Problems at each that stands a second time."""
    raise_any(
        Problem((place,), "is listed twice; leave one out")
        for place, value in enumerate(values)
        if value in values[:place]
    )
    return values


def by_key(*keys: str, otherwise: str) -> Discriminator:
    """Tells the members of a union apart by the first of these keys that a mapping has.

    Each member is tagged `tag(key)`; `otherwise` is the error where none of the keys is there.
    """

    def tag_of(written: Any) -> str | None:
        if isinstance(written, BaseModel):
            written = dict(written)
        if not isinstance(written, Mapping):
            return None
        return next((tag(key) for key in keys if key in written), None)

    return Discriminator(tag_of, "no_form", otherwise)


def tag(key: str) -> str:
    """The tag of a union's member; NUL marks it, which no key of a YAML text can hold."""
    return f"\0{key}"


def or_short(long: Callable[[Any], Any], schema: Any) -> BeforeValidator:
    """Lets a short form stand for a long one; `schema` is the type of what may be written."""
    return BeforeValidator(long, json_schema_input_type=schema)


Scalar = Annotated[
    str | int | float | bool, BeforeValidator(scalar), WithJsonSchema(_SCALAR_SCHEMA)
]
Text = Annotated[str, BeforeValidator(text), WithJsonSchema(_SCALAR_SCHEMA)]
Name = Annotated[str, BeforeValidator(name), WithJsonSchema(_SCALAR_SCHEMA)]
FieldPath = Annotated[str, BeforeValidator(path), WithJsonSchema(_SCALAR_SCHEMA)]
Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(written, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": PATTERN}),
]
Count = Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
