"""What can go wrong with the embedded broker, said in one line."""

from pipeline.java.packages import JavaError


class BrokerError(JavaError):
    """The broker cannot be had, started or kept running; the message is one line."""
