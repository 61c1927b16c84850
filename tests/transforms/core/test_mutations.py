"""The comparison with the oracle would see each rule broken: mutants, and the cases that kill."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.machine import Machine, decode, observations, spec_of
from tests.outcome import Outcome, by_id, differences, different_rows, expected, found
from tests.strategies import Case, cases
from transforms.core import archive, cut, emission, engagements, features, opening, order, raw, sets
from transforms.core.arrays import NEVER, ints
from transforms.core.decode import record

Function = Callable[..., Any]


@dataclass
class Drawn:
    """A case, what the oracle makes of it, and its observations."""

    case: Case
    want: Outcome
    rows: pa.Table


@pytest.fixture(scope="module")
def drawn() -> list[Drawn]:
    """Seeded cases: the same on every run; of several seeds, since those of one are much alike."""
    return [one for number in range(8) for one in _seeded(number)]


def _seeded(number: int) -> list[Drawn]:
    out: list[Drawn] = []

    @seed(number)
    @settings(max_examples=16, derandomize=False, phases=[Phase.generate], database=None,
              suppress_health_check=[*HealthCheck])  # fmt: skip
    @given(cases(max_records=36))
    def keep(case: Case) -> None:
        spec = spec_of(case[0])
        out.append(Drawn(case, expected(*case), observations(spec, decode(spec, case[1]))))

    keep()
    return out


def at_once(one: Drawn) -> bool:
    """Whether one firing differs from the oracle."""
    return bool(differences(found(*one.case), one.want))


def just_in_time(one: Drawn) -> bool:
    """Whether firings differ from the oracle that come when a session is complete, and 1 ms before
    that."""
    spec = spec_of(one.case[0])
    machine, rows = Machine(spec), one.rows
    time, got = ints(rows["time"]), list[Any]()
    bounds = {spec.session.gap - 1, spec.session.gap, spec.attribution - 1} - {-1}
    finals = sorted({int(t) + bound for t in time.tolist() for bound in bounds})
    arrives = np.searchsorted(finals, time)
    with patch.object(archive, "RECENT_BYTES", 0):
        for number, final in enumerate(finals):
            got += machine.fire(rows.filter(pa.array(arrives == number)), final)
        got += machine.fire(rows.filter(pa.array(arrives == len(finals))))
    return bool(different_rows(by_id(got, one.want.tombstones), one.want.sequences))


def _argument(place: int, change: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """A mutant that changes one of its arguments."""

    def mutate(original: Function) -> Function:
        def mutant(*given_: Any) -> Any:
            changed = [*given_]
            changed[place] = change(changed[place])
            return original(*changed)

        return mutant

    return mutate


def _more(by: int) -> Callable[[Any], Any]:
    return lambda value: value if value is None else value + by


def _window(by: int) -> Callable[[Any], Any]:
    return lambda window: window and window + by


def _last_of_runs(_: Function) -> Function:
    def mutant(life: Any, value: Any, held: Any, holds: Any) -> Any:
        keep = np.ones(len(life), bool)
        keep[:-1] = (life[1:] != life[:-1]) | (value[1:] != value[:-1])
        return keep

    return mutant


def _chained(_: Function) -> Function:
    """The window runs from the engagement before, not from the group's first."""

    def mutant(life: Any, item: Any, time: Any, window: int) -> Any:
        out = np.arange(len(life))
        last: dict[Any, int] = {}
        for row, key in enumerate(zip(life.tolist(), item.tolist(), strict=True)):
            if window and key in last and time[row] - time[last[key]] <= window:
                out[row] = out[last[key]]
            last[key] = row
        return out

    return mutant


def _newest_forgotten(_: Function) -> Function:
    def mutant(members: Any, removed: Any, added: Any, at_most: int) -> Any:
        changes = []
        for member in sorted(removed & members.keys()):
            del members[member]
            changes.append((-member, False))
        for member in sorted(added - members.keys()):
            if len(members) < at_most:
                members[member] = None
            changes.append((member, False))
        return changes

    return mutant


def _removed_though_added(original: Function) -> Function:
    def mutant(members: Any, added: Any, removed: Any, at_most: int) -> Any:
        first = original(members, [], removed, at_most)
        return first + original(members, added, [], at_most)

    return mutant


def _the_other_copy(original: Function) -> Function:
    return lambda keys: np.append(original(keys)[1:], False)


def _no_copies(_: Function) -> Function:
    return lambda keys: np.zeros(keys.num_rows, bool)


def _erasure_ignored(_: Function) -> Function:
    return lambda user, erase: ~erase


def _erased_itself_alone(_: Function) -> Function:
    """What the user did at the very time of the erasure stays."""

    def mutant(user: Any, erase: Any) -> Any:
        return ~erase & ~np.append(erase[1:] & (user[1:] == user[:-1]), False)

    return mutant


def _always_drawn(_: Function) -> Function:
    return lambda draw, tokens, budget: np.ones(len(draw), bool)


def _without_time(original: Function) -> Function:
    return lambda user, source, event_id, time: original(user, source, event_id, 0)


def _swapped(original: list[str]) -> list[str]:
    return ["erase", "source", "event_id", "content"]


def _below(original: Function) -> Function:
    return lambda edges, value: sum(edge < value for edge in edges)


MUTANTS: dict[str, tuple[Any, str, Callable[[Any], Any], Function]] = {
    "S2 source before event_id": (order, "_TIE_BREAKERS", _swapped, at_once),
    "S3 the copy of greatest content": (order, "_repeats", _the_other_copy, at_once),
    "S3 copies kept": (order, "_repeats", _no_copies, at_once),
    "S1 an edge belongs to the bin below": (record, "bisect_right", _below, at_once),
    "S4 window + 1": (engagements, "leaders", _argument(3, _window(1)), at_once),
    "S4 window - 1": (engagements, "leaders", _argument(3, _window(-1)), at_once),
    "S4 off": (engagements, "leaders", _argument(3, lambda _: 0), at_once),
    "S4 window from the last": (engagements, "leaders", _chained, at_once),
    "S5 last of each run": (features, "first_of_runs", _last_of_runs, at_once),
    "S5 nothing held from before": (
        features, "first_of_runs", _argument(2, np.zeros_like), just_in_time,
    ),
    "S6 the newest forgotten": (sets, "_apply", _newest_forgotten, at_once),
    "S6 max_members + 1": (sets, "_apply", _argument(3, _more(1)), at_once),
    "S6 removed though added": (features, "changes_by_delta", _removed_though_added, at_once),
    "S8 gap + 1": (engagements, "session_starts", _argument(3, _more(1)), at_once),
    "S8 gap - 1": (engagements, "session_starts", _argument(3, _more(-1)), at_once),
    "S8 end marks ignored": (engagements, "session_starts", _argument(2, np.zeros_like), at_once),
    "S8 max_contents + 1": (engagements, "session_starts", _argument(4, _more(1)), at_once),
    "S8 complete 1 ms early": (
        engagements, "final_from", lambda original: lambda *given: original(*given) - 1,
        just_in_time,
    ),
    "S9 N + 1": (emission, "held", _argument(4, _more(1)), at_once),
    "S9 N - 1": (emission, "held", _argument(4, lambda n: max(n - 1, 1)), at_once),
    "S9 M + 1": (emission, "held", _argument(5, _more(1)), at_once),
    "S9 M ignored": (emission, "held", _argument(5, lambda _: 1 << 40), at_once),
    "S9 the head not folded": (
        emission, "held", _argument(3, lambda until: np.full_like(until, NEVER)), at_once,
    ),
    "S9 folded one content too far": (cut, "folded", _argument(2, _more(1)), just_in_time),
    "S9 the archive keeps too few": (
        archive, "newest", _argument(1, lambda _: 1), just_in_time,
    ),
    "S11 without the time": (emission, "sequence_id", _without_time, at_once),
    "S13 erasure ignored": (opening, "after_erasure", _erasure_ignored, at_once),
    "S13 erasure of the last alone": (opening, "after_erasure", _erased_itself_alone, at_once),
    "S14 always drawn": (emission, "drawn", _always_drawn, at_once),
    "S14 budget + 1": (emission, "drawn", _argument(2, _more(1)), at_once),
    "S15 at R": (opening, "new_lives", _argument(3, _more(-1)), at_once),
    "S15 R + 1": (opening, "new_lives", _argument(3, _more(1)), at_once),
    "S15 at R, of what is held": (opening, "inherits", _argument(3, _more(-1)), just_in_time),
    "raw tokens without features": (
        raw, "observed_values", lambda original: lambda *given: 0 * original(*given), at_once,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_seen(name: str, drawn: list[Drawn]) -> None:
    module, attribute, mutate, differs = MUTANTS[name]
    with patch.object(module, attribute, mutate(getattr(module, attribute))):
        assert any(_fails(differs, one) for one in drawn)


@pytest.mark.parametrize("differs", [at_once, just_in_time])
def test_the_rules_as_they_are_agree(differs: Function, drawn: list[Drawn]) -> None:
    assert not any(differs(one) for one in drawn[::4])


def _fails(differs: Function, one: Drawn) -> bool:
    """Whether a mutant is seen: by a difference, or since the rules no longer fit together."""
    try:
        return bool(differs(one))
    except (AssertionError, IndexError, ValueError, pa.ArrowInvalid):
        return True
