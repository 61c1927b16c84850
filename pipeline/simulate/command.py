"""`phia simulate`: a platform by the numbers given, to a folder or to Kafka."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from kafka_client.clients import Connection
from pipeline.places import folder_named
from pipeline.simulate.files import Progress, write_files
from pipeline.simulate.fit import form_for
from pipeline.simulate.platform import Platform
from pipeline.simulate.producing import Sending, produce
from pipeline.simulate.truth import Truth
from schemas.failures import UsageError
from schemas.spec import Spec


def simulated(
    spec: Spec,
    output: str,
    numbers: Mapping[str, Any],
    more: Iterable[str],
    *,
    rate: float,
    timestamps: str,
    partitions: int,
    replace: bool,
    progress: Progress | None,
) -> Any:
    """Writes or sends the platform's records, and gives the truth about them as a document.

    `more` are NAME=VALUE of any of the platform's numbers. Raises UsageError, KafkaUnavailable.
    """
    try:
        form = form_for(spec)
        platform = platform_of(numbers, more, spec.limits.record_bytes)
        if output.startswith("kafka:"):
            sending = Sending(form, rate, timestamps, partitions)  # type: ignore[arg-type]
            truth = produce(platform, Connection.from_url(output), sending, progress)
        else:
            truth = _to_files(platform, folder_named("--output", output), form, replace, progress)
    except (ValueError, FileExistsError) as error:
        raise UsageError(str(error)) from None
    return truth.document()


def platform_of(numbers: Mapping[str, Any], more: Iterable[str], record_bytes: int) -> Platform:
    """The platform of these numbers. Raises ValueError for one that it does not have."""
    named = dict(numbers) | {"record_bytes": record_bytes}
    return Platform(**(named | dict(map(_number, more))))


def _number(written: str) -> tuple[str, Any]:
    name, equals, value = written.partition("=")
    types = get_type_hints(Platform)
    if not equals or name not in types:
        known = ", ".join(field.name for field in fields(Platform))
        raise ValueError(f"--set {written}: must be NAME=NUMBER, and NAME one of {known}")
    kind = next((t for t in get_args(types[name]) or (types[name],) if t is not type(None)), float)
    try:
        return name, kind(value)
    except ValueError:
        raise ValueError(f"--set {written}: must be a number, as in {name}=1") from None


def _to_files(
    platform: Platform, folder: Path, form: Any, replace: bool, progress: Progress | None
) -> Truth:
    return write_files(platform, folder, form, replace, progress)
