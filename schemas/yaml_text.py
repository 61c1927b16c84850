"""YAML 1.2 to plain values, with the line of every value; no tag makes an object of anything."""

import json
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from schemas.problems import Place, SpecError

MOST_BYTES = 256 * 1024
MOST_VALUES = 20_000
"""Aliases can make many values of few bytes."""

_SHOWN = 40

_TAG = "tag:yaml.org,2002:"
_NUMBERS = (f"{_TAG}int", f"{_TAG}float", f"{_TAG}bool", f"{_TAG}null")
_TEXTS = (f"{_TAG}str", f"{_TAG}timestamp")
_WRITTEN = {
    f"{_TAG}int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    f"{_TAG}float": re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
}
"""Numbers as the core schema of YAML 1.2 has them; 1_0 and 0b1, of YAML 1.1, are texts."""


@dataclass(frozen=True)
class Document:
    """The value of a YAML text, and the line, from 1, on which each place in it begins."""

    name: str
    value: Any
    lines: dict[Place, int]

    def line_of(self, place: Place) -> int:
        """The line of a place, or of the nearest one around it that is written."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_yaml(text: str, name: str) -> Document:
    """The one document of a text. Raises SpecError, with `name` and the line, if there is none."""
    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise SpecError([f"is larger than {MOST_BYTES} bytes, too large for a spec ({name})"])
    builder = _Builder(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML allows it
            node = builder.yaml.compose(text)
        if node is None:
            raise SpecError([f"is empty; a spec begins with version: 1 ({name}, line 1)"])
        return Document(name, builder.value_of(node, ()), builder.lines)
    except RecursionError:
        raise SpecError([f"is nested too deeply for a spec ({name})"]) from None
    except MarkedYAMLError as error:
        raise builder.error(f"is not YAML: {error.problem}", _line(error)) from None
    except YAMLError as error:
        reason = str(error).splitlines()[0]
        raise SpecError([f"is not YAML: {reason} ({name})"]) from None


def _line(error: MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark else 1


@dataclass
class _Builder:
    name: str
    yaml: YAML = field(default_factory=lambda: YAML(typ="safe", pure=True))
    lines: dict[Place, int] = field(default_factory=dict)
    values: int = 0

    def error(self, text: str, line: int) -> SpecError:
        return SpecError([f"{text} ({self.name}, line {line})"])

    def value_of(self, node: Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        self.values += 1
        if self.values > MOST_VALUES:
            raise self.error(f"holds more than {MOST_VALUES} values, aliases written out", line)
        self.lines.setdefault(place, line)
        if isinstance(node, MappingNode):
            return self.mapping_of(node, place)
        if isinstance(node, SequenceNode):
            return [self.value_of(item, (*place, i)) for i, item in enumerate(node.value)]
        return self.scalar_of(node)

    def mapping_of(self, node: MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                raise self.error("a key must be a text, not a list or a mapping", line)
            key = self.text_of(key_node)
            if key in found:
                first = self.lines[(*place, key)]
                raise self.error(f"{key}: this key stands twice, first on line {first}", line)
            self.lines[(*place, key)] = line
            found[key] = self.value_of(value_node, (*place, key))
        return found

    def scalar_of(self, node: Node) -> Any:
        tag, line = str(node.tag), node.start_mark.line + 1
        if tag in _TEXTS or (tag in _WRITTEN and not _WRITTEN[tag].fullmatch(node.value)):
            return self.text_of(node)
        if tag not in _NUMBERS:
            raise self.error(f"the tag {tag.replace(_TAG, '!!')} has no place in a spec", line)
        try:
            return self.yaml.constructor.construct_object(node)
        except ValueError:  # more digits than Python reads
            begins = f"{node.value[:_SHOWN]}…"
            raise self.error(f"{begins}: a number has at most 4,300 digits", line) from None

    def text_of(self, node: Node) -> str:
        """The text of a scalar. JSON may escape one character as two surrogates: they are it."""
        text: str = node.value
        try:
            text.encode()
        except UnicodeEncodeError:
            try:
                return text.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                wrong = f"{json.dumps(text[:_SHOWN])}: holds a lone surrogate, which no text has"
                raise self.error(wrong, node.start_mark.line + 1) from None
        return text
