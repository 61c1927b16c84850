"""What a stream wants of each engine, beside what it is told; docs/results.md has the reasons."""

from collections.abc import Sequence

from pipeline.prism import built_prism

_STREAM = ("--streaming", "--default_sdk_harness_log_level=WARN")
# A bundle is committed as a whole, and costs some milliseconds however little is in it.
_FLINK = ("--checkpointing_interval=10000", "--max_bundle_time_mills=100")


def usual_options(runner: str, bounded: bool) -> Sequence[str]:
    """Beam's options for this runner, by its name or its class; those given beside them win."""
    name = runner.rpartition(".")[2]
    prism = built_prism() if name == "PrismRunner" else None
    found = () if prism is None else (f"--prism_location={prism}",)
    if bounded:
        return found
    return (*_STREAM, *(_FLINK if name in ("FlinkRunner", "PortableRunner") else ()), *found)
