"""What a runner knows the state of a job by: names, states, timers and coders of its pipeline."""

from typing import Any

from apache_beam.coders import Coder
from apache_beam.portability.api import beam_runner_api_pb2

from pipeline.options import run_of
from pipeline.run import built
from schemas.spec import Spec

_PARDO = "beam:transform:pardo:v1"


def names_of(spec: Spec, **options: Any) -> dict[str, Any]:
    """By the unique name of each step of an unbounded run from Kafka to a folder and a topic: the
    steps that it takes its input from, and, where it keeps state, what and in which coders."""
    outputs = ["out", "kafka://127.0.0.1:1/sequences"]
    options = {"group": None, "readers": 1, **options}
    what = run_of(
        spec, "kafka://127.0.0.1:1", outputs, None, "earliest", None, {},
        ["--runner=PrismRunner"], **options,
    )  # fmt: skip
    proto, context = built(what).to_runner_api(return_context=True)
    steps = [step for step in proto.components.transforms.values() if not step.subtransforms]
    maker = {out: step.unique_name for step in steps for out in step.outputs.values()}
    found = {}
    for step in steps:
        about: dict[str, Any] = {"after": sorted(maker[i] for i in step.inputs.values())}
        if step.spec.urn == _PARDO:
            (of,) = step.inputs.values()
            coder_id = proto.components.pcollections[of].coder_id
            about |= _state(
                beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload), coder_id, context
            )
        found[step.unique_name] = about
    return dict(sorted(found.items()))


def _state(payload: Any, element: str, context: Any) -> dict[str, Any]:
    """What a step keeps: nothing for most."""

    def coder(number: str) -> str:
        return _named(context.coders.get_by_id(number))

    states = {
        name: [spec.WhichOneof("spec"), spec.protocol.urn, coder(_coder_id(spec))]
        for name, spec in sorted(payload.state_specs.items())
    }
    timers = {
        name: [int(family.time_domain), coder(family.timer_family_coder_id)]
        for name, family in sorted(payload.timer_family_specs.items())
    }
    about: dict[str, Any] = {}
    if states or timers:
        about = {"element": coder(element), "states": states, "timers": timers}
    if payload.restriction_coder_id:
        about = {"element": coder(element), "restriction": coder(payload.restriction_coder_id)}
    return about


def _coder_id(spec: Any) -> str:
    kind = getattr(spec, spec.WhichOneof("spec"))
    return str(getattr(kind, "element_coder_id", "") or getattr(kind, "coder_id", ""))


def _named(coder: Coder) -> str:
    """A coder as its class, with those that it is made of."""
    parts: list[Coder] = getattr(coder, "_get_component_coders", list)()
    inner = f"[{', '.join(map(_named, parts))}]" if parts else ""
    return type(coder).__name__ + inner
