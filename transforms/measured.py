"""What a shard tells of itself after each firing."""

import time

from schemas.observations import source_names
from transforms.core.shard import Fired, Shard
from transforms.measures import count, observe, observe_all


def tell_firing(shard: Shard, fired: Fired, us: int) -> None:
    """Tells what a firing made, and the µs that it took."""
    tally = fired.tally
    for source, copies in zip(source_names(shard.spec), tally.opened.copies.tolist(), strict=True):
        count("copies", copies, source)
    count("sessions", len(tally.completed.end))
    count("sequences", len(tally.drawn.end))
    count("tokens", int(tally.held.tokens.sum()))
    count("raw_tokens", int(tally.drawn.raw_tokens.sum()))
    observe("stage_us", us, "fire")


def tell_state(shard: Shard, fired: Fired) -> None:
    """Tells what a shard of a stream holds after a firing, and how long after their completion
    the firing gave its sessions."""
    held, waiting = shard.held, fired.waiting
    archive = held.sizes.recent + sum(held.sizes.cells)
    observe("waiting_rows", waiting.num_rows)
    observe("state_bytes", held.ledger.nbytes + waiting.nbytes + archive)
    sessions = fired.tally.engaged.sessions
    complete_at = sessions.until[sessions.complete] + shard.spec.horizon
    observe_all("latency_ms", int(time.time() * 1000) - complete_at)
