"""The four programs of a cluster: ZooKeeper, job manager, task manager, Beam's job server."""

from pathlib import Path

from pipeline.flink.distribution import Distribution
from pipeline.flink.settings import Ports
from pipeline.java.ports import HOST

PROGRAMS = ("zookeeper", "jobmanager", "taskmanager", "jobserver")
"""In the order in which they start."""

# Flink and Beam reach into Java by reflection.
_OPENED = (
    "util", "lang", "net", "io", "nio", "lang.reflect", "text", "time", "util.concurrent",
    "util.concurrent.atomic", "util.concurrent.locks",
)  # fmt: skip
_OPEN = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _OPENED] + [
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
]

_MANAGER_MEMORY = {
    "heap.size": "768m",
    "off-heap.size": "128m",
    "jvm-metaspace.size": "256m",
    "jvm-overhead.min": "64m",
    "jvm-overhead.max": "64m",
}
_TASK_MEMORY = {
    "task.heap.size": "896m",
    "framework.heap.size": "128m",
    "managed.size": "512m",
    "network.min": "128m",
    "network.max": "128m",
    "task.off-heap.size": "64m",
    "framework.off-heap.size": "128m",
    "jvm-metaspace.size": "256m",
    "jvm-overhead.min": "128m",
    "jvm-overhead.max": "128m",
}


def command(program: str, of: Distribution, folder: Path, ports: Ports, slots: int) -> list[str]:
    """The command line of one of PROGRAMS."""
    conf = folder / "conf"
    parts = {
        "zookeeper": _zookeeper(conf),
        "jobmanager": _job_manager(conf, ports),
        "taskmanager": _task_manager(conf, ports, slots),
        "jobserver": _job_server(conf, folder, ports),
    }
    options = ["-XX:+UseSerialGC", f"-Dlog4j.configurationFile={conf}/log4j.properties", *_OPEN]
    return [str(of.java), *options, "-cp", of.classpath, *_split(parts[program])]


def _split(part: tuple[list[str], list[str]]) -> list[str]:
    """The options of Java, the main class, and its arguments."""
    return [*part[0], *part[1]]


def _zookeeper(conf: Path) -> tuple[list[str], list[str]]:
    options = ["-Xmx128m", "-Dzookeeper.admin.enableServer=false"]
    main = "org.apache.flink.runtime.zookeeper.FlinkZooKeeperQuorumPeer"
    return options, [main, "--zkConfigFile", f"{conf}/zoo.cfg", "--peerId", "1"]


def _job_manager(conf: Path, ports: Ports) -> tuple[list[str], list[str]]:
    memory = {f"jobmanager.memory.{name}": size for name, size in _MANAGER_MEMORY.items()}
    main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
    return ["-Xmx768m"], [
        main, "--configDir", str(conf), *_settings(memory | _metrics_at(ports.manager_metrics))
    ]  # fmt: skip


def _task_manager(conf: Path, ports: Ports, slots: int) -> tuple[list[str], list[str]]:
    memory = {f"taskmanager.memory.{name}": size for name, size in _TASK_MEMORY.items()}
    memory["taskmanager.cpu.cores"] = f"{slots}.0"
    main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
    return ["-Xmx1024m", "-XX:MaxDirectMemorySize=512m"], [
        main, "--configDir", str(conf), *_settings(memory | _metrics_at(ports.task_metrics))
    ]  # fmt: skip


def _job_server(conf: Path, folder: Path, ports: Ports) -> tuple[list[str], list[str]]:
    return ["-Xmx768m"], [
        "org.apache.beam.runners.flink.FlinkJobServerDriver",
        f"--job-host={HOST}",
        f"--job-port={ports.job}",
        f"--artifact-port={ports.artifact}",
        f"--expansion-port={ports.expansion}",
        f"--artifacts-dir={folder}/artifacts",
        f"--flink-master={HOST}:{ports.rest}",
        f"--flink-conf-dir={conf}",
    ]


def _metrics_at(port: int) -> dict[str, str]:
    return {"metrics.reporter.prometheus.port": str(port)}


def _settings(values: dict[str, str]) -> list[str]:
    return [part for key, value in values.items() for part in ("-D", f"{key}={value}")]
