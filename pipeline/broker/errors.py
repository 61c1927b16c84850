"""What can go wrong with the embedded broker, said in one line."""


class BrokerError(Exception):
    """The broker cannot be had, started or kept running; the message is one line."""
