"""Losses against their formulas in plain loops."""

import math

import torch

from model.heads import RetrievalHead, directions, ranking_loss, sampled_softmax_loss


def test_ranking_loss_is_the_log_loss_of_each_position() -> None:
    logits_NA = torch.tensor([[0.5, -1.0], [2.0, 0.0], [-3.0, 1.0]])
    is_done_NA = torch.tensor([[True, False], [True, True], [False, False]])
    expected = 0.0
    for logits, done in zip(logits_NA.tolist(), is_done_NA.tolist(), strict=True):
        losses = []
        for x, y in zip(logits, done, strict=True):
            p = 1 / (1 + math.exp(-x))
            losses.append(-math.log(p if y else 1 - p))
        expected += sum(losses) / len(losses)
    assert math.isclose(ranking_loss(logits_NA, is_done_NA), expected, rel_tol=1e-6)


def test_sampled_softmax_leaves_the_target_itself_out_of_the_others() -> None:
    torch.manual_seed(0)
    query_NM, target_NM, other_SM = torch.randn(3, 4), torch.randn(3, 4), torch.randn(5, 4)
    target_id_N, other_id_S = torch.tensor([7, 9, 2]), torch.tensor([1, 7, 3, 7, 5])
    expected = 0.0
    for n in range(3):
        own = math.exp(query_NM[n] @ target_NM[n])
        others = sum(
            math.exp(query_NM[n] @ other_SM[s]) for s in range(5) if other_id_S[s] != target_id_N[n]
        )
        expected -= math.log(own / (own + others))
    loss = sampled_softmax_loss(query_NM, target_NM, other_SM, target_id_N, other_id_S)
    assert math.isclose(loss, expected, rel_tol=1e-5)


def test_without_others_nothing_is_learned() -> None:
    query_NM = torch.randn(2, 4, requires_grad=True)
    none = torch.empty(0, 4)
    ids = torch.tensor([1, 2])
    loss = sampled_softmax_loss(query_NM, torch.randn(2, 4), none, ids, ids[:0])
    loss.backward()
    assert loss.item() == 0
    assert query_NM.grad is not None
    assert not query_NM.grad.any()


def test_queries_and_directions_have_their_lengths() -> None:
    head = RetrievalHead(4, temperature=0.05)
    assert torch.allclose(head(torch.randn(6, 4)).norm(dim=1), torch.tensor(20.0))
    assert torch.allclose(directions(torch.randn(6, 4)).norm(dim=1), torch.tensor(1.0))
    assert not directions(torch.zeros(2, 4)).any()
