"""What a command answers to the shell: a status, and one line where something goes wrong."""

from collections.abc import Callable

import typer
from rich.console import Console

from schemas.failures import Failure, UsageError
from schemas.problems import SpecError

INTERRUPTED = 130

# What the command line raises for a wrong option; which package has it differs among versions.
_WrongUse: type[typer.BadParameter] = typer.BadParameter.__mro__[1]


def told(command: Callable[[], int | None], console: Console) -> int:
    """The status of a command, with one line on the console where something expected goes wrong."""
    try:
        status = command() or 0
    except _WrongUse as error:
        console.print(error.format_message(), markup=False, emoji=False)
        return UsageError.status
    except (Failure, SpecError) as error:
        console.print(" ".join(str(error).split()), markup=False, emoji=False)
        return error.status if isinstance(error, Failure) else UsageError.status
    except (typer.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    if status == INTERRUPTED:  # some versions of the command line return that, others raise
        console.print("stopped")
    return status
