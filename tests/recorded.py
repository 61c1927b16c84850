"""What stages record of Beam's metrics while they are called by hand."""

from collections.abc import Iterator
from contextlib import contextmanager

from apache_beam.metrics.execution import MetricsContainer
from apache_beam.runners.worker import statesampler
from apache_beam.utils.counters import CounterFactory


@contextmanager
def recorded() -> Iterator[dict[str, int]]:
    """A dict that at the end has every counter and gauge that was recorded, by its name in Beam."""
    found: dict[str, int] = {}
    sampler = statesampler.StateSampler("test", CounterFactory())
    container = MetricsContainer("step")
    state = sampler.scoped_state("step", "process", metrics_container=container)
    sampler.start()
    try:
        with state:
            yield found
    finally:
        sampler.stop()
    values = container.get_cumulative()
    found |= {key.metric.name: number for key, number in values.counters.items()}
    found |= {key.metric.name: gauge.value for key, gauge in values.gauges.items()}
