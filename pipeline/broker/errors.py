"""What can go wrong with the embedded broker, said in one line."""

from schemas.failures import Failure


class BrokerError(Failure):
    """The broker cannot be had, started or kept running; the message is one line."""
