"""A real Kafka broker of one node as a child process."""

import base64
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from kafka_client.clients import Connection, KafkaUnavailable
from kafka_client.topics import broker_ids
from pipeline.broker.distribution import Distribution, find_distribution
from pipeline.broker.errors import BrokerError
from pipeline.broker.properties import Listener, server_properties
from pipeline.java.jvm import Jvm
from pipeline.java.locks import take_lock
from pipeline.java.ports import HOST, answers, free_port

# Quick to start and small rather than fast for long; only what matters is logged.
_JAVA_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss",
)


class Broker:
    """A broker that keeps its data in `folder`; a context manager that starts and stops it.

    `port` 0 takes a free one, and the same again when this object starts anew. `listeners` and
    `properties` (Kafka's own names) add to the settings; `heap_mb` bounds Java's heap; `progress`
    is told each step in a few words. Clients connect to `bootstrap`, without authentication.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        port: int = 0,
        *,
        listeners: Sequence[Listener] = (),
        properties: Mapping[str, str] | None = None,
        heap_mb: int = 512,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self._folder = Path(folder).resolve()
        self._port = port
        self._listeners = tuple(listeners)
        self._properties = dict(properties or {})
        self._heap_mb = heap_mb
        self._progress = progress or (lambda step: None)
        self._jvm: Jvm | None = None
        self._lock: BinaryIO | None = None

    def __enter__(self) -> "Broker":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """The address for clients, "127.0.0.1:PORT"; BrokerError before the first start."""
        if not self._port:
            raise BrokerError("the broker has no port yet: start it first")
        return f"{HOST}:{self._port}"

    @property
    def log(self) -> Path:
        """The file with everything that the broker has said."""
        return self._folder / "server.log"

    @property
    def pid(self) -> int | None:
        """The process id of the broker, None where it does not run."""
        return self._jvm.pid if self._jvm and self.alive else None

    @property
    def alive(self) -> bool:
        """Whether the broker's process runs."""
        return self._jvm is not None and self._jvm.status is None

    def start(self, limit: float = 60.0) -> None:
        """Start the broker and return when a client gets answers, at most `limit` s later.

        Raises BrokerError: packages missing, folder or port in use, or the broker's last words.
        """
        if self.alive:
            raise BrokerError(f"this broker already runs at {self.bootstrap}")
        with ExitStack() as undo:
            # Step 1: the folder is ours until stop; Java inherits the lock, should we be killed.
            undo.callback(self.kill)
            self._lock = self._lock_folder()
            # Step 2: Kafka itself, and the ports.
            distribution = find_distribution(self._progress)
            self._port = free_port(self._port)
            self._write_properties()
            # Step 3: format the storage once.
            if not (self._data / "meta.properties").exists():
                self._progress("formatting the storage")
                self._format(distribution)
            # Step 4: run, and wait for an answer.
            self._progress(f"starting at {self.bootstrap}")
            started = time.monotonic()
            self._jvm = self._run(distribution, self._lock)
            self._await_answer(self._jvm, started + limit)
            self._progress(f"ready after {time.monotonic() - started:.1f} s")
            undo.pop_all()

    def stop(self, limit: float = 15.0) -> None:
        """End the broker in order, by force after `limit` s; the data stays. Twice is no harm."""
        if self._jvm is not None:
            self._jvm.stop(limit)
        self._release()

    def kill(self) -> None:
        """End the broker at once, as a crash would (kill -9); the data stays."""
        if self._jvm is not None:
            self._jvm.kill()
        self._release()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _settings(self) -> Path:
        return self._folder / "server.properties"

    def _lock_folder(self) -> BinaryIO:
        try:
            lock = take_lock(self._folder / "broker.lock", 0.0)
        except OSError as error:
            raise BrokerError(f"the folder {self._folder} cannot be used: {error}") from error
        if lock is None:
            raise BrokerError(
                f"the folder {self._folder} is in use by another broker: stop it or name another"
            )
        return lock

    def _write_properties(self) -> None:
        text = server_properties(
            self._data, self._port, free_port(), self._listeners, self._properties
        )
        self._settings.write_text(text, encoding="utf-8")

    def _format(self, distribution: Distribution) -> None:
        command = self._java(distribution, "-Xmx128m", "kafka.tools.StorageTool", "format")
        command += ["-t", _cluster_id(), "-c", str(self._settings)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired as error:
            raise BrokerError(f"formatting {self._data} took over 60 s") from error
        if done.returncode:
            lines = (done.stdout + done.stderr).split("\n\tat ")[0].split()
            raise BrokerError(f"{self._data} cannot be formatted: {' '.join(lines)}")

    def _run(self, distribution: Distribution, lock: BinaryIO) -> Jvm:
        heap = f"-Xmx{self._heap_mb}m"
        command = self._java(distribution, heap, "kafka.Kafka", str(self._settings))
        return Jvm(command, self.log, [lock.fileno()])

    def _java(self, distribution: Distribution, heap: str, *program: str) -> list[str]:
        java = [str(distribution.java), heap, *_JAVA_OPTIONS]
        return [*java, "-cp", distribution.classpath, *program]

    def _await_answer(self, jvm: Jvm, deadline: float) -> None:
        while not self._answers():
            if jvm.status is not None:
                raise BrokerError(self._obituary(jvm))
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"the broker at {self.bootstrap} does not answer in time: see {self.log}"
                )
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return answers(self._port) and bool(broker_ids(Connection(self.bootstrap)))
        except KafkaUnavailable:
            return False

    def _obituary(self, jvm: Jvm) -> str:
        return f"the broker ended with status {jvm.status}: {jvm.last_words()} (see {self.log})"

    def _release(self) -> None:
        self._jvm = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _cluster_id() -> str:
    """A new id as Kafka writes it: 22 characters of base64url that do not begin with '-'."""
    return "P" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
