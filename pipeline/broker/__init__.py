"""A real Apache Kafka broker on this machine, from Python packages alone."""

from pipeline.broker.errors import BrokerError
from pipeline.broker.process import Broker
from pipeline.broker.properties import Listener
from pipeline.broker.serve import serve

__all__ = ["Broker", "BrokerError", "Listener", "serve"]
