"""Flink's REST interface: jobs, checkpoints, savepoints."""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from pipeline.java.ports import HOST
from schemas.failures import Failure

ANSWER_S = 10
SAVEPOINT_S = 120
_ENDED = ("FINISHED", "FAILED", "CANCELED")


class FlinkError(Failure):
    """Flink does not answer, or refuses; the message is one line."""


@dataclass(frozen=True)
class Rest:
    """A job manager, by the port of its interface."""

    port: int

    @property
    def slots(self) -> int:
        """How many slots there are; 0 where nobody answers."""
        try:
            return int(self._ask("GET", "/overview")["slots-total"])
        except FlinkError:
            return 0

    def jobs(self) -> dict[str, str]:
        """The state of each job, by id: RUNNING, RESTARTING, CANCELED, … Raises FlinkError."""
        return {job["id"]: job["status"] for job in self._ask("GET", "/jobs")["jobs"]}

    def job(self, job: str) -> dict[str, Any]:
        """All that Flink says of a job."""
        answer: dict[str, Any] = self._ask("GET", f"/jobs/{job}")
        return answer

    def checkpoints(self, job: str) -> dict[str, Any]:
        """Counts of checkpoints, and the latest ones, with their sizes in bytes."""
        answer: dict[str, Any] = self._ask("GET", f"/jobs/{job}/checkpoints")
        return answer

    def cancel(self, job: str, limit: float = 60) -> None:
        """Ends a job, and waits until it has ended. Raises FlinkError."""
        self._ask("PATCH", f"/jobs/{job}?mode=cancel")
        self._await_end(job, limit)

    def stop(self, job: str, limit: float = SAVEPOINT_S) -> str:
        """Ends a job with a savepoint, and gives the savepoint's place. Raises FlinkError."""
        place = self.savepoint(job, cancel=True, limit=limit)
        self._await_end(job, limit)
        return place

    def savepoint(self, job: str, cancel: bool = False, limit: float = SAVEPOINT_S) -> str:
        """Makes a savepoint of a job, and gives its place. Raises FlinkError."""
        asked = self._ask("POST", f"/jobs/{job}/savepoints", {"cancel-job": cancel})
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            said = self._ask("GET", f"/jobs/{job}/savepoints/{asked['request-id']}")
            if said["status"]["id"] == "COMPLETED":
                operation = said["operation"]
                if "location" in operation:
                    return str(operation["location"])
                cause = operation["failure-cause"].get("stack-trace", "").strip().splitlines()
                raise FlinkError(f"job {job} has no savepoint: {(cause or ['no cause given'])[-1]}")
            time.sleep(0.5)
        raise FlinkError(f"job {job} has no savepoint after {limit:.0f} s")

    def _await_end(self, job: str, limit: float) -> None:
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if self.jobs().get(job, "CANCELED") in _ENDED:
                return
            time.sleep(0.25)
        raise FlinkError(f"job {job} has not ended after {limit:.0f} s")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        url = f"http://{HOST}:{self.port}{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            url, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace").strip()
            raise FlinkError(f"Flink at {HOST}:{self.port}: {error.code}: {said[:500]}") from error
        except OSError as error:
            raise FlinkError(f"Flink at {HOST}:{self.port} does not answer: {error}") from error
