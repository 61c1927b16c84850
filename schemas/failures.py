"""Failures that are expected: each is one line for the user, and a status for the shell."""


class Failure(Exception):
    """Something that went wrong outside of phia; the message is one line, without traceback."""

    status = 1


class UsageError(Failure):
    """Something asked for that can't be done as asked."""

    status = 2
