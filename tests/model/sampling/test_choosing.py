"""The reader's hook: sampling, then Stochastic Length, and the same again after a stop."""

import json
from typing import Any

import pyarrow as pa
import pytest

from model.sampling import choosing as module
from model.sampling.choosing import Choosing
from model.sampling.sampler import Sampler
from model.sampling.steering import Steering
from model.sampling.stochastic_length import StochasticLength
from model.sampling.token_rows import tokens_of
from tests.model.sampling.sequences import batch_of, engaged, row_of

LENGTH = StochasticLength(64, 1.5)


def rows(begin: int, end: int) -> pa.RecordBatch:
    """Sequences of 2 to 80 tokens, a second apart."""
    contents = ((at * 7) % 40 + 1 for at in range(begin, end))
    each = zip(range(begin, end), contents, strict=True)
    return batch_of([row_of(engaged(n), 1, f"{at:032x}", 1000 * at) for at, n in each])


def steered() -> Choosing:
    return Choosing(Sampler(), LENGTH, Steering(8.0, first=20, memory_ms=60_000))


def drawn(choosing: Choosing, batches: list[pa.RecordBatch]) -> list[Any]:
    return [choosing(batch).to_pylist() for batch in batches]


BATCHES = [rows(at, at + 20) for at in range(0, 400, 20)]


def test_rows_are_sampled_by_their_length_and_then_shortened() -> None:
    choosing = Choosing(Sampler(20), LENGTH)
    batch = rows(0, 400)
    kept = Sampler(20).kept(batch["sequence_id"].to_pylist(), tokens_of(batch))
    wanted = LENGTH.shortened(batch.filter(pa.array(kept)))
    assert choosing(batch).to_pylist() == wanted.batch.to_pylist()
    assert choosing.sparsity == wanted.sparsity(kept[kept])
    assert sum(rate.seen for rate in choosing.rates.rows()) == 400
    assert sum(rate.drawn for rate in choosing.rates.rows()) == kept.sum()


def test_without_anything_to_do_rows_pass_as_they_are() -> None:
    choosing = Choosing(Sampler())
    assert choosing(rows(0, 30)).equals(rows(0, 30))
    assert choosing.sparsity is None


def test_an_empty_batch_passes() -> None:
    assert steered()(batch_of([])).num_rows == 0


def test_a_steered_budget_holds_from_the_next_batch_on() -> None:
    choosing = steered()
    budgets = []
    for batch in BATCHES:
        budgets.append(choosing.sampler.budget)
        choosing(batch)
    assert budgets[0] == 20
    assert budgets[-1] != 20
    assert budgets[-1] is not None


def test_steering_knows_that_long_sequences_cost_less_when_shortened() -> None:
    long, short = Choosing(Sampler(), None, Steering(8.0, memory_ms=60_000)), steered()
    drawn(long, BATCHES)
    drawn(short, BATCHES)
    assert long.sampler.budget is not None
    assert short.sampler.budget is None or short.sampler.budget > long.sampler.budget


@pytest.mark.parametrize("trained", range(0, 21, 4))
@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_after_a_stop_the_same_is_drawn_and_counted_once(trained: int, ahead: int) -> None:
    whole = steered()
    wanted = drawn(whole, BATCHES)
    before = steered()
    drawn(before, BATCHES[: trained + ahead])
    after = steered()
    after.load(json.loads(json.dumps(before.state())))
    assert drawn(after, BATCHES[trained:]) == wanted[trained:]
    assert after.state()["rates"] == whole.state()["rates"]
    assert after.sparsity == whole.sparsity
    assert after.state()["steering"] == whole.state()["steering"]


def test_a_message_used_in_part_is_decided_as_it_was() -> None:
    whole = steered()
    wanted = [row for part in drawn(whole, BATCHES) for row in part]
    before = steered()
    drawn(before, BATCHES[:11])
    after = steered()
    after.load(before.state())
    again = drawn(after, [BATCHES[10].slice(7), *BATCHES[11:]])
    found = [row for part in again for row in part]
    assert found == wanted[-len(found) :]
    assert found[0]["session_end"] >= BATCHES[10]["session_end"][7].as_py()


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AHEAD", 50)
    choosing = steered()
    drawn(choosing, BATCHES)
    newest = [name for batch in BATCHES for name in batch["sequence_id"].to_pylist()][-50:]
    assert list(choosing.state()["decided"]) == newest


def test_stochastic_length_may_begin_later() -> None:
    plain = Choosing(Sampler(20))
    drawn(plain, BATCHES[:3])
    later = Choosing(Sampler(20), LENGTH, Steering(8.0))
    later.load(json.loads(json.dumps(plain.state())))
    assert later.sparsity is not None
    assert later.sparsity.rows == 0


def test_of_rows_old_and_new_together_the_new_ones_are_counted() -> None:
    whole, mixed = Choosing(Sampler(20), LENGTH), Choosing(Sampler(20), LENGTH)
    whole(rows(0, 120))
    mixed(rows(40, 80))
    mixed(rows(0, 120))
    assert mixed.sparsity == whole.sparsity
    for one, other in zip(mixed.rates.rows(), whole.rates.rows(), strict=True):
        assert one == pytest.approx(other)
