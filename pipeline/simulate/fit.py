"""Whether a feature spec can read what the platform makes, and in which form it wants it."""

from pipeline.simulate.fates import SOURCES
from pipeline.simulate.faults import LATE_BY_MS
from pipeline.simulate.files import SUFFIX, Form
from schemas.spec import Spec


def form_for(spec: Spec) -> Form:
    """The one form in which the spec reads all its sources.

    Raises ValueError where it names a source that is not made, more than one form or another one,
    or where its horizon is so long that nothing would be late.
    """
    unknown = sorted(set(spec.sources) - set(SOURCES))
    if unknown:
        raise ValueError(
            f"sources.{unknown[0]}: nothing of that name is simulated; there are "
            f"{', '.join(SOURCES)}"
        )
    if spec.horizon >= LATE_BY_MS:
        raise ValueError(
            f"horizon: {spec.horizon} ms; late records are late by {LATE_BY_MS} ms, so less is due"
        )
    formats = sorted({source.format for source in spec.sources.values()})
    for form in SUFFIX:
        if formats == [form]:
            return form
    raise ValueError(f"format: {', '.join(formats)}; one of {', '.join(SUFFIX)} for all sources")
