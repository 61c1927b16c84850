"""Scoring many candidates for one history: with keys and values kept, and without, on a GPU.

    python -m benchmarks.scoring [--history 8192] [--width 512] [--blocks 8]

The rivals are the same model in the same type without a cache, called from Python with the same
lookups: each candidate alone behind the history; microbatches, with each of which the history is
computed; and all candidates in one pass, with which it is computed once a request. A request is a
new user's (nothing is kept), a user's whose history has grown by 64 tokens, or one's whose history
is as it was. Times are of a call, from requests on the CPU to scores on the CPU, medians.

Before that, scores in bfloat16 are checked against float64: the relative error must be at most
twice that of the model without a cache, or nothing is measured.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import triton
from torch import Tensor

from benchmarks.attention_speed import times_of
from benchmarks.measure import table
from model.batch import Category, SequenceBatch
from model.config import TrainConfig
from model.exchange import Exchange
from model.recommender import Recommender
from model.scoring.history import Request, part_of
from model.scoring.scorer import Scorer, Serving
from model.scoring.whole import whole_logits
from model.tables import Tables
from schemas.load import parse_spec
from schemas.spec import Spec

CONTENTS, CREATORS = 100_000, 10_000
GROWTH = 64
CALLS = 100
ALONE = 16  # candidates of a pass, of which each has a history of its own
MICROBATCH = 1_024
SPEC = """
version: 1
name: scoring
sources:
  views:
    {{user: u, time: t, item: i, actions: {{field: k}}, categories: {{creator: c}}}}
actions: [VIEW, LIKE, SHARE, BUY]
categories: [creator]
history: {{contents: {contents}, tokens: {tokens}}}
"""


@dataclass(frozen=True)
class Made:
    """A model with its tables, and what is asked of it."""

    spec: Spec
    model: Recommender
    tables: Tables
    options: argparse.Namespace

    def scorer(self, **serving: Any) -> Scorer:
        """A scorer in bfloat16."""
        settings = {"bfloat16": True, "cache_bytes": self.options.cache_gib << 30, **serving}
        return Scorer(self.spec, self.model, self.tables, Serving(**settings))

    def history(self, user: int, tokens: int) -> SequenceBatch:
        """Contents and actions in sessions, with a creator each."""
        chance = torch.Generator().manual_seed(user)
        contents = tokens // 2
        id_E = torch.randint(1, CONTENTS, (contents,), generator=chance)
        action_E = torch.randint(0, 16, (contents,), generator=chance)
        offsets = torch.arange(contents + 1)
        creators = Category(torch.randint(1, CREATORS, (contents,), generator=chance), offsets)
        return SequenceBatch(
            torch.tensor([0, 2 * contents]),
            torch.tensor([0, 1]).repeat(contents),
            torch.stack([id_E, action_E], 1).flatten(),
            times_of(contents, "sessions", chance).repeat_interleave(2),
            torch.ones(1, dtype=torch.int64),
            {"creator": creators},
            (str(user),),
            (str(user),),
            torch.zeros(1, dtype=torch.int64),
        )

    def request(self, user: int, tokens: int, candidates: int) -> Request:
        """A minute after the last of all tokens that a user will have."""
        whole = self.history(user, self.spec.history.tokens)
        chance = torch.Generator().manual_seed(candidates)
        id_M = torch.randint(1, CONTENTS, (candidates,), generator=chance)
        creators = torch.randint(1, CREATORS, (candidates,), generator=chance)
        category = Category(creators, torch.arange(candidates + 1))
        now = int(whole.time_T[-1]) + 60_000
        return Request(str(user), part_of(whole, 0, tokens), id_M, now, {"creator": category})


def made(options: argparse.Namespace) -> Made:
    """Random weights, biases too, and a table with all ids."""
    tokens = options.history
    spec = parse_spec(SPEC.format(contents=tokens // 2, tokens=tokens))
    head = options.width // options.heads
    shape = {"width": options.width, "blocks": options.blocks, "heads": options.heads}
    shape |= {"query_width": head, "value_width": head}
    config = TrainConfig.model_validate({"model": shape, "vocabulary": {"admit_after": 1}})
    torch.manual_seed(0)
    model = Recommender(spec, config).cuda().eval()
    for name, weight in model.named_parameters():
        if name.endswith(("position_HP", "time_HC")):
            weight.data.normal_(0, 0.5)
    tables = Tables(spec, config, Exchange.alone(), "cuda")
    for each, ids in ((tables.content, CONTENTS), (tables.categories["creator"], CREATORS)):
        each.fetch(torch.arange(1, ids, device="cuda"), 0)
    return Made(spec, model, tables, options)


def check(each: Made) -> bool:
    """Whether scores with a cache are as exact as those without; prints the errors. Of histories
    that grow together, and are kept; and of each as that of a new user, alone."""
    lengths = (0, 500, 1_020, 3_000)
    asked = [each.request(n, tokens, 100) for n, tokens in enumerate(lengths)]
    exact = whole_logits(*_in_float64(each), asked, torch.float64)
    right = True
    for kind in (torch.float32, torch.bfloat16):
        plain = whole_logits(each.model, each.tables, asked, kind)
        usual = [_error(x, y) for x, y in zip(plain, exact, strict=True)]
        for graphs in (False, True):
            scorer = each.scorer(graphs=graphs, bfloat16=kind == torch.bfloat16)
            scorer.logits([replace(one, history=part_of(one.history, 0, 400)) for one in asked])
            for what in ("grown", "kept", "new"):
                if what == "new":
                    found = [
                        scorer.logits([replace(one, user="new" + one.user)])[0] for one in asked
                    ]
                else:
                    found = scorer.logits(asked)
                errors = [_error(x, y) for x, y in zip(found, exact, strict=True)]
                right &= all(x <= 2 * y + 1e-6 for x, y in zip(errors, usual, strict=True))
                pairs = zip(errors, usual, strict=True)
                shown = ", ".join(f"{x:.1e} ({y:.1e})" for x, y in pairs)
                print(f"{kind}, graphs {graphs}, {what}: errors, and without a cache: {shown}")
    return right


def _in_float64(each: Made) -> tuple[Recommender, Tables]:
    tables = copy.deepcopy(each.tables)
    for _, one in tables.all():
        one._shard.rows.vector_RM = one._shard.rows.vector_RM.double()
    return copy.deepcopy(each.model).double(), tables


def _error(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


def times_ms(
    call: Callable[[int], object], repeats: int, before: Callable[[int], object] = int
) -> list[float]:
    """Wall times of calls, each given its number, after a few that do not count; ascending. What
    is done before each does not count either."""
    found = []
    for number in range(-3, repeats):
        before(number)
        torch.cuda.synchronize()
        begun = time.perf_counter()
        call(number)
        torch.cuda.synchronize()
        found.append(1000 * (time.perf_counter() - begun))
    return sorted(found[3:])


def median(times: Sequence[float]) -> float:
    """The middle one."""
    return times[len(times) // 2]


def without_cache(each: Made, requests: Sequence[Request]) -> None:
    """Scores on the CPU, without a cache, all in one pass."""
    for logits_QA in whole_logits(each.model, each.tables, requests, torch.bfloat16):
        logits_QA.sigmoid().cpu()


def rivals(each: Made, asked: Request, repeats: int) -> dict[str, float]:
    """ms of one request without a cache, in three ways; the first by some of its candidates."""
    alone = [asked.part(n, n + 1) for n in range(ALONE)]
    starts = range(0, len(asked), MICROBATCH)
    pieces = [asked.part(n, min(n + MICROBATCH, len(asked))) for n in starts]

    def by_microbatches(_: int) -> None:
        for piece in pieces:
            without_cache(each, [piece])

    return {
        "alone": median(times_ms(lambda _: without_cache(each, alone), repeats))
        * (len(asked) / ALONE),
        "microbatches": median(times_ms(by_microbatches, repeats)),
        "at once": median(times_ms(lambda _: without_cache(each, [asked]), repeats)),
    }


def ours(each: Made, candidates: int, repeats: int) -> dict[str, float]:
    """ms of one request with a cache."""
    most = each.spec.history.tokens
    scorer = each.scorer()
    whole = each.request(0, most, candidates)

    shorter = replace(whole, history=part_of(whole.history, 0, most - GROWTH))
    kept = partial(_score, scorer, [whole])
    return {
        "new": median(times_ms(lambda n: scorer.score([replace(whole, user=f"new {n}")]), repeats)),
        "grown": median(times_ms(kept, repeats, partial(_score, scorer, [shorter]))),
        "kept": median(times_ms(kept, repeats)),
    }


def throughput(each: Made) -> None:
    """A table: candidates a second of one user, with and without a cache."""
    lines = []
    for candidates, repeats in ((1_024, 15), (16_384, 7)):
        asked = each.request(0, each.spec.history.tokens, candidates)
        slow, fast = rivals(each, asked, repeats), ours(each, candidates, repeats)
        for name, ms in {**slow, **fast}.items():
            ratios = [f"{slow[rival] / ms:.2f}×" for rival in slow]
            rate = f"{1000 * candidates / ms:,.0f}"
            lines.append([f"{candidates:,}", name, f"{ms:.2f}", rate, *ratios])
            print(lines[-1], flush=True)
    heads = ["candidates", "", "ms", "candidates/s", "to alone", "to microbatches", "to at once"]
    print(f"\n{table(heads, lines)}\n")


def latency(each: Made) -> None:
    """A table: how long users wait who ask at the same time, each with a history that has grown."""
    most, lines = each.spec.history.tokens, []
    scorer = each.scorer()
    for users in (1, 4, 16, 64):
        whole = [each.request(n, most, each.options.asked) for n in range(users)]

        asked: list[Request] = []

        def grow(number: int, whole: list[Request] = whole, asked: list[Request] = asked) -> None:
            tokens = most - 16 * (CALLS - number)
            asked[:] = [replace(r, history=part_of(r.history, 0, tokens)) for r in whole]

        times = times_ms(partial(_score, scorer, asked), CALLS, grow)
        figures = scorer.figures()
        held = f"{figures['bytes_used'] / figures['users'] / 2**20:.0f}"
        shown = [f"{median(times):.1f}", f"{times[CALLS * 99 // 100 - 1]:.1f}"]
        rate = f"{1000 * users * each.options.asked / median(times):,.0f}"
        lines.append([users, *shown, rate, f"{figures['bytes_used'] / 2**30:.2f}", held])
        print(lines[-1], flush=True)
    heads = ["users", "p50, ms", "p99, ms", "candidates/s", "cache, GiB", "MiB a user"]
    print(f"\n{each.options.asked} candidates each\n\n{table(heads, lines)}\n")


def graphs(each: Made) -> None:
    """A table: what CUDA graphs bring, of one user whose history is as it was."""
    lines = []
    for candidates in (64, 256, 1_024, 4_096):
        asked = [each.request(0, each.spec.history.tokens, candidates)]
        times = []
        for with_graphs in (False, True):
            scorer = each.scorer(graphs=with_graphs)
            times.append(median(times_ms(partial(_score, scorer, asked), 20)))
        lines.append([candidates, *(f"{ms:.2f}" for ms in times), f"{times[0] / times[1]:.2f}×"])
    print(f"\n{table(['candidates', 'calls, ms', 'graph, ms', ''], lines)}\n")


def _score(scorer: Scorer, asked: Sequence[Request], number: int) -> None:
    scorer.score(asked)


def main() -> int:
    """Checks, measures and prints tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    sizes = {"history": 8_192, "width": 512, "blocks": 8, "heads": 8, "asked": 256, "cache-gib": 12}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("no GPU: this measures CUDA kernels")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, "triton", triton.__version__)
    print(options)
    each = made(options)
    if not check(each):
        print("the check failed: nothing is measured")
        return 1
    throughput(each)
    latency(each)
    graphs(each)
    return 0


if __name__ == "__main__":
    sys.exit(main())
