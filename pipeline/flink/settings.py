"""The settings of a cluster of one machine, as the files that its programs read."""

from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.java.ports import HOST, free_port, free_ports


@dataclass(frozen=True)
class Ports:
    """Where the programs listen, all at 127.0.0.1."""

    zookeeper: int
    rpc: int
    rest: int
    job: int
    artifact: int
    expansion: int
    manager_metrics: int
    task_metrics: int

    @classmethod
    def free(cls, rest: int = 0) -> "Ports":
        """Free ports; `rest` is Flink's own port, 0 for any. Raises JavaError."""
        names = list(cls.__annotations__)
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        return cls(**ports | ({"rest": free_port(rest)} if rest else {}))

    def as_dict(self) -> dict[str, int]:
        """The ports by name."""
        return asdict(self)


def write_settings(folder: Path, ports: Ports, slots: int) -> None:
    """Writes Flink's, ZooKeeper's and the logger's settings into the folder's conf/."""
    conf = folder / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    flink = "".join(f"{key}: {value}\n" for key, value in _flink(folder, ports, slots).items())
    (conf / "flink-conf.yaml").write_text(flink)
    (conf / "zoo.cfg").write_text(_zookeeper(folder, ports))
    (conf / "log4j.properties").write_text(_LOGGER)


def _flink(folder: Path, ports: Ports, slots: int) -> dict[str, object]:
    return {
        "jobmanager.rpc.address": HOST,
        "jobmanager.rpc.port": ports.rpc,
        "jobmanager.bind-host": HOST,
        "high-availability.jobmanager.port": ports.rpc,
        "rest.address": HOST,
        "rest.bind-address": HOST,
        "rest.port": ports.rest,
        "taskmanager.host": HOST,
        "taskmanager.bind-host": HOST,
        "taskmanager.numberOfTaskSlots": slots,
        "parallelism.default": 1,
        "io.tmp.dirs": folder / "tmp",
        # A manager that is killed finds its jobs, and their last checkpoint, again.
        "high-availability.type": "zookeeper",
        "high-availability.zookeeper.quorum": f"{HOST}:{ports.zookeeper}",
        "high-availability.storageDir": f"file://{folder}/ha",
        # Another manager leads when the session of the one that was killed has ended.
        "high-availability.zookeeper.client.session-timeout": 8000,
        "state.backend.type": "rocksdb",
        "state.backend.incremental": "true",
        "state.checkpoints.dir": f"file://{folder}/checkpoints",
        "state.savepoints.dir": f"file://{folder}/savepoints",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        # A job is tried again and again: what fails for good is seen in the metric of restarts.
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "10 s",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "1 min",
        "heartbeat.interval": 1000,
        "heartbeat.timeout": 5000,
        "metrics.reporters": "prometheus",
        "metrics.reporter.prometheus.factory.class": (
            "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
        ),
    }


def _zookeeper(folder: Path, ports: Ports) -> str:
    return (
        f"tickTime=2000\ndataDir={folder}/zookeeper\nclientPort={ports.zookeeper}\n"
        f"clientPortAddress={HOST}\n"
    )


_LOGGER = """
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1} %m%n%throwable
logger.zookeeper.name = org.apache.flink.shaded.zookeeper3
logger.zookeeper.level = WARN
logger.pekko.name = org.apache.pekko
logger.pekko.level = WARN
"""
