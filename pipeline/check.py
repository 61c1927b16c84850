"""`phia check`: what a spec would do, in a few lines."""

from collections.abc import Iterator

from schemas.durations import written
from schemas.failures import UsageError
from schemas.fingerprint import fingerprint
from schemas.layout import WAY_OUT, gains, layout_of, refusals
from schemas.spec import Source, Spec


def described(spec: Spec) -> Iterator[str]:
    """Lines that say what a spec reads, and how it cuts and folds it."""
    yield f"{spec.name}: good; fingerprint {fingerprint(spec)}"
    for name, source in spec.sources.items():
        yield f"  {name} ({source.format}): {_observes(source)}"
    session = f"gap {written(spec.session.gap)}"
    if spec.session.max_contents:
        session += f", at most {spec.session.max_contents:,} contents"
    yield f"  sessions: {session}; horizon {written(spec.horizon)}"
    if spec.attribution:
        yield f"  attribution: {written(spec.attribution)}; actions may know of later contents"
    history = spec.history
    yield f"  history: {history.contents:,} contents, {history.tokens:,} tokens"
    if spec.retention:
        yield f"  retention: {written(spec.retention)}"
    if spec.sampling:
        tokens, seed = spec.sampling.tokens, spec.sampling.seed
        yield f"  sampling: about {tokens:,} tokens a session, seed {seed}"


def compared(spec: Spec, old: Spec) -> Iterator[str]:
    """What a job of a spec gains that goes on with the state of one of an old spec. Raises
    UsageError, in one line that names all that changed, where the state can't be kept."""
    was, now = layout_of(old, 0), layout_of(spec, 0)
    changed = refusals(was, now)
    if changed:
        raise UsageError(f"{spec.name}: state can't be kept: {'; '.join(changed)}; {WAY_OUT}")
    more = ", ".join(gains(was, now)) or "nothing"
    yield f"{spec.name}: state can be kept; gains {more}"
    yield f"  fingerprint {fingerprint(old)} → {fingerprint(spec)}"


def _observes(source: Source) -> str:
    if source.erase:
        return "erasures"
    parts = [] if source.item is None else [f"engagements with {source.item}"]
    parts += list(source.features)
    parts += ["ends of sessions"] if source.end else []
    parts += [f"{len(source.dropped)} numerical fields dropped"] if source.dropped else []
    return ", ".join(parts) or "nothing"
