"""The example's alert rules watched by a real Prometheus, with every minute of them a few seconds.

`python -m tests.pipeline.alerting HOST:PORT… --seconds 60` prints what fires, as it begins to.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from ruamel.yaml import YAML

from pipeline.java.ports import free_port
from tests.documents import ROOT

EXAMPLE = ROOT / "examples" / "monitoring"
START_S = 30.0
MINUTE_MS = 3_000
"""What a minute of the rules lasts unless it is said."""


def program(name: str) -> str | None:
    """Where `prometheus` or `promtool` is, in the path or where Go installs; None: nowhere."""
    return shutil.which(name) or shutil.which(name, path=str(Path.home() / "go" / "bin"))


def example(name: str) -> Any:
    """A YAML file of the example."""
    return YAML(typ="safe").load((EXAMPLE / name).read_text(encoding="utf-8"))


def hurried(rules: str, minute_ms: int) -> str:
    """Alert rules whose minutes are so short, in durations as in numbers of ms."""
    rules = re.sub(r"\b60000\b", str(minute_ms), rules)
    return re.sub(r"\b(\d+)m\b", lambda found: f"{int(found[1]) * minute_ms}ms", rules)


class Watch:
    """A Prometheus that scrapes `targets` (HOST:PORT) each second and evaluates the hurried rules,
    in a folder of its own. `firing` may be asked at any time; `fired` has all that was seen to
    fire. Needs `program("prometheus")`."""

    def __init__(self, folder: Path, targets: list[str], minute_ms: int = MINUTE_MS) -> None:
        self._minute_ms = minute_ms
        self._port = free_port()
        self._folder = folder
        self._targets = targets
        self.fired: list[str] = []

    def __enter__(self) -> "Watch":
        self._write()
        command = [
            str(program("prometheus")),
            f"--config.file={self._folder / 'prometheus.json'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        with (self._folder / "prometheus.log").open("w") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait_until_ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)

    def firing(self) -> dict[str, str]:
        """The summary of each alert that fires now, by its name."""
        alerts = self._ask("alerts")["data"]["alerts"]
        now = {
            alert["labels"]["alertname"]: alert["annotations"]["summary"]
            for alert in alerts
            if alert["state"] == "firing"
        }
        self.fired += [name for name in now if name not in self.fired]
        return now

    def wait_for(self, alert: str, seconds: float) -> str:
        """The alert's summary once it fires. Raises TimeoutError."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if alert in (now := self.firing()):
                return now[alert]
            time.sleep(0.5)
        raise TimeoutError(f"{alert} has not fired in {seconds:.0f} s; {self.fired} have")

    def wait_until_heard(self, seconds: float) -> None:
        """Returns when the job has told of its watermark. Raises TimeoutError."""
        ends = time.monotonic() + seconds
        while not self.value("phia_watermark_ms"):
            if time.monotonic() > ends:
                raise TimeoutError(f"nothing was heard of the job in {seconds:.0f} s")
            time.sleep(0.5)

    def wait_until_over(self, alert: str, seconds: float) -> None:
        """Returns when the alert does not fire. Raises TimeoutError."""
        ends = time.monotonic() + seconds
        while alert in (now := self.firing()):
            if time.monotonic() > ends:
                raise TimeoutError(f"{alert} still fires after {seconds:.0f} s: {now[alert]}")
            time.sleep(0.5)

    def has_fired(self, alert: str, since: float) -> bool:
        """Whether the alert has fired since a time (s since 1970), seen by us or not."""
        window = max(1, int((time.time() - since) * 1000))
        query = f'count_over_time(ALERTS{{alertname="{alert}",alertstate="firing"}}[{window}ms])'
        return bool(self.value(query))

    def value(self, query: str) -> dict[str, float]:
        """The values that a query gives, by their labels as JSON."""
        found = self._ask(f"query?query={urllib.parse.quote(query)}")["data"]["result"]
        return {
            json.dumps(each["metric"], sort_keys=True): float(each["value"][1]) for each in found
        }

    def _write(self) -> None:
        config = example("prometheus.yml")
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        (flink,) = (job for job in config["scrape_configs"] if job["job_name"] == "flink")
        flink["static_configs"] = [{"targets": self._targets}]  # its rules leave other names be
        config["scrape_configs"] = [flink]
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "prometheus.json").write_text(json.dumps(config))
        rules = (EXAMPLE / "alerts.yml").read_text(encoding="utf-8")
        (self._folder / "alerts.yml").write_text(hurried(rules, self._minute_ms))

    def _wait_until_ready(self) -> None:
        ends = time.monotonic() + START_S
        while True:
            try:
                self.firing()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > ends:
                    raise
                time.sleep(0.2)

    def _ask(self, what: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{what}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)


def main() -> None:
    """Prints each alert of the targets as it begins to fire, with the seconds since the start."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("targets", nargs="+", metavar="HOST:PORT")
    asked.add_argument("--seconds", type=float, default=60)
    asked.add_argument("--folder", type=Path, default=ROOT / "out" / "alerting")
    given = asked.parse_args()
    began, known = time.monotonic(), dict[str, str]()
    with Watch(given.folder, given.targets) as watch:
        while (now := time.monotonic() - began) < given.seconds:
            firing = watch.firing()
            for name in firing.keys() - known.keys():
                _say(f"{now:6.1f} s  {name}: {firing[name]}")
            for name in known.keys() - firing.keys():
                _say(f"{now:6.1f} s  {name} is over")
            known = firing
            time.sleep(0.5)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
