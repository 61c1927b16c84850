"""Ids of tokens read back as a person knows them: by the dictionary, and by the spec."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from schemas.sequences import FIRST_FEATURE
from schemas.sources import ScalarField
from schemas.spec import Spec

LONGEST = 24
"""Letters of a name that are shown."""


@dataclass(frozen=True)
class Names:
    """Names of a spec's ids; `texts` has those of hashed ones, by kind and id."""

    spec: Spec
    texts: dict[tuple[str, int], str]

    def item(self, number: int) -> str:
        """An item."""
        return self._text("item", number)

    def category(self, name: str, numbers: Iterable[int]) -> str:
        """The ids that a content has of a category."""
        return " ".join(self._text(f"category:{name}", number) for number in numbers)

    def actions(self, mask: int) -> str:
        """The set of actions of an a token, which may be empty: an impression."""
        done = [name for bit, name in enumerate(self.spec.actions) if mask >> bit & 1]
        return "+".join(done) or "no action"

    def entry(self, token_type: int, number: int) -> str:
        """A feature entry: `country DE`, `+ followed creator-7`, `- followed creator-7`."""
        name = list(self.spec.features)[token_type - FIRST_FEATURE]
        if self.spec.features[name].kind == "set":
            sign = "+" if number > 0 else "-"
            return f"{sign} {name} {self._text(f'feature:{name}', abs(number))}"
        if number == 0:
            return f"{name} unknown"
        edges = self._edges(name)
        return f"{name} {_bin(edges, number) if edges else self._text(f'feature:{name}', number)}"

    def _text(self, kind: str, number: int) -> str:
        text = self.texts.get((kind, number), str(number))
        shown = "".join(letter if letter.isprintable() else "�" for letter in text)
        return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"

    def _edges(self, feature: str) -> tuple[float, ...]:
        """The bin edges of a feature, of the first source that has any."""
        fields = (source.features.get(feature) for source in self.spec.sources.values())
        found = (field.bins for field in fields if isinstance(field, ScalarField) and field.bins)
        return next(found, ())


def texts_of(dictionary: pl.DataFrame) -> dict[tuple[str, int], str]:
    """The texts of a run's dictionary, by kind and id."""
    return {(kind, number): text for kind, number, text in dictionary.iter_rows()}


def _bin(edges: tuple[float, ...], number: int) -> str:
    """What values lie in a bin, from 1: below the first edge."""
    between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"under {edges[0]:g}", *between, f"{edges[-1]:g} or more"][number - 1]
