"""Reports as Prometheus has them: as text in a file, at a port of this machine, or both."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from model.reporting.names import parts
from model.reporting.report import Reported
from schemas.failures import Failure, UsageError

PREFIX = "phia_train_"
_HOST = "127.0.0.1"


class Prometheus:
    """Gives the last report: a gauge for each figure, and counters of steps and tokens.

    `ranking/ne/action=CLICK` is the gauge phia_train_ranking_ne with the label action.
    """

    def __init__(
        self, help_: Mapping[str, str], file: Path | None = None, port: int | None = None
    ) -> None:
        """`help_` says what figures are, by their names without labels. Raises UsageError where
        the file's folder cannot be made, or the port is taken."""
        self._last = _LastReport(help_)
        self._registry = CollectorRegistry()
        self._registry.register(self._last)
        self._file = file
        self._server = None
        if file is not None:
            _make_folder_of(file)
        if port is not None:
            try:
                self._server, _ = start_http_server(port, addr=_HOST, registry=self._registry)
            except (OSError, OverflowError) as error:
                why = getattr(error, "strerror", None) or error
                raise UsageError(f"metrics port {port}: {why}") from error

    def write(self, reported: Reported) -> None:
        """Lets a report stand for the one before. Raises Failure if the file can't be written."""
        self._last.reported = reported
        if self._file is not None:
            try:
                write_to_textfile(str(self._file), self._registry)
            except OSError as error:
                raise Failure(f"metrics file {self._file}: {error.strerror}") from error

    def close(self) -> None:
        """Frees the port. The file stays."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _LastReport(Collector):
    """Asked by the registry, from the server's thread, for what was reported last."""

    def __init__(self, help_: Mapping[str, str]) -> None:
        self._help = help_
        self.reported = Reported(0, 0, {})

    def collect(self) -> Iterator[Metric]:
        """All figures, those of one name in one family."""
        reported = self.reported  # one report throughout, whatever is written meanwhile
        yield CounterMetricFamily(f"{PREFIX}steps", "Steps of training.", reported.step)
        yield CounterMetricFamily(f"{PREFIX}tokens", "Tokens trained on.", reported.tokens)
        families: dict[str, Metric] = {}
        for key, number in reported.figures.items():
            name, labels = parts(key)
            if name not in families:
                metric = PREFIX + name.replace("/", "_")
                families[name] = GaugeMetricFamily(metric, self._help.get(name, name))
            families[name].add_sample(families[name].name, labels, number)
        yield from families.values()


def _make_folder_of(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"metrics file {file}: {error.strerror}") from error
