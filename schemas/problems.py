"""What can be wrong with a spec, and where."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a place: the keys and list positions that lead there."""

    place: Place
    text: str


class Problems(ValueError):
    """Problems that a part of a spec has, their places relative to that part."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """At least one problem."""
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.text for problem in self.problems))


class SpecError(ValueError):
    """A spec that cannot be used. `errors` has one line for each thing wrong with it.

    `str()` is one line: the first of them, and how many more there are.
    """

    def __init__(self, errors: Iterable[str]) -> None:
        """At least one line."""
        self.errors = tuple(errors)
        more = len(self.errors) - 1
        super().__init__(self.errors[0] + (f" (and {more} more)" if more else ""))


def raise_any(problems: Iterable[Problem]) -> None:
    """Raises Problems if there are any."""
    found = tuple(problems)
    if found:
        raise Problems(found)


def suggest(wrong: str, right: Iterable[str]) -> str:
    """What to write instead of a wrong word: the nearest right one, else all of them."""
    choices = list(right)
    near = get_close_matches(wrong, choices, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known: {', '.join(choices)}" if choices else "none is declared"
