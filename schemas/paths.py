"""Paths to a field of a record, as a spec writes them: `geo.country`."""

import re

_DOT = re.compile(r"(?<!\\)\.")


def split_path(path: str) -> tuple[str, ...]:
    r"""The keys that a path names, outermost first; `\.` is a dot that belongs to a key.

    Raises ValueError where the path, or a key between two dots, is empty.
    """
    keys = tuple(key.replace(r"\.", ".") for key in _DOT.split(path))
    if "" in keys:
        raise ValueError(
            r"has an empty key: write a field, or fields joined by dots (\. is a literal dot)"
        )
    return keys
