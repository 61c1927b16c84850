"""Packages that a command needs and an installation may lack: which extra of phia brings them."""

from collections.abc import Iterator
from contextlib import contextmanager

from schemas.failures import Failure


class MissingPackage(Failure):
    """A package that is not installed; the message is one line, with what to do."""


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around imports that an extra of the distribution is for.

    Raises MissingPackage where one of its packages is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).split(".")[0]
        raise MissingPackage(
            f"this needs the package {package}: pip install 'phia[{extra}]'"
        ) from error
