"""Failures that are expected: each is one line for the user, and a status for the shell."""

from collections.abc import Callable

import typer
from rich.console import Console

from schemas.problems import SpecError

USAGE, INTERRUPTED = 2, 130

# What the command line raises for a wrong option; which package has it differs among versions.
_WrongUse: type[typer.BadParameter] = typer.BadParameter.__mro__[1]


class Failure(Exception):
    """Something that went wrong outside of phia; the message is one line, without traceback."""

    status = 1


class UsageError(Failure):
    """Something asked for that can't be done as asked."""

    status = USAGE


def told(command: Callable[[], int | None], console: Console) -> int:
    """The status of a command, with one line on the console where something expected goes wrong."""
    try:
        return command() or 0
    except _WrongUse as error:
        console.print(error.format_message(), markup=False)
        return USAGE
    except (Failure, SpecError) as error:
        console.print(" ".join(str(error).split()), markup=False)
        return error.status if isinstance(error, Failure) else USAGE
    except (typer.Abort, KeyboardInterrupt):
        console.print("stopped")
        return INTERRUPTED
