"""The fixed table: as many rows as it may have, whatever comes; the rest as the other has it."""

import torch

from model.exchange import Exchange
from model.vocabulary.hashed import HashedTable, embedding_table
from model.vocabulary.settings import RowwiseAdamW, VocabularySettings
from model.vocabulary.table import EmbeddingTable

BUCKETS = 50


def hashed_table() -> EmbeddingTable:
    settings = VocabularySettings(kind="hashed", buckets=BUCKETS)
    return embedding_table("content", 2, settings, RowwiseAdamW(), Exchange.alone(), 0)


def test_it_has_no_more_rows_than_buckets_and_two() -> None:
    table = hashed_table()
    fetched = table.fetch(torch.arange(0, 10_000), 1)
    assert len(table) == BUCKETS + 2
    assert len(fetched.vectors_UM) == BUCKETS + 1
    assert bool(fetched.known_N.all())
    counts = torch.bincount(fetched.inverse_N, minlength=BUCKETS + 1)[1:]
    assert counts.min() > 120  # 200 a bucket
    assert counts.max() < 280


def test_null_shares_its_row_with_no_id() -> None:
    fetched = hashed_table().fetch(torch.arange(0, 10_000), 1)
    assert int((fetched.inverse_N == fetched.inverse_N[0]).sum()) == 1


def test_ids_of_a_bucket_learn_together_and_are_owned_together() -> None:
    table = hashed_table()
    fetched = table.fetch(torch.arange(1, 200), 1)
    torch.autograd.backward(fetched.vectors_UM[fetched.inverse_N[0]].sum())
    table.apply(fetched, lr=0.1)
    same = [int(one) + 1 for one in (fetched.inverse_N == fetched.inverse_N[0]).nonzero()]
    id_n, vectors_nM = table.own(torch.tensor(same))
    assert id_n.tolist() == same
    assert len(same) > 1
    assert bool((vectors_nM == vectors_nM[0]).all())
    assert not torch.allclose(vectors_nM[0], fetched.vectors_UM[fetched.inverse_N[0]])


def test_the_settings_choose() -> None:
    adamw, alone = RowwiseAdamW(), Exchange.alone()
    growing = embedding_table("a", 2, VocabularySettings(), adamw, alone, 0)
    assert not isinstance(growing, HashedTable)
    assert isinstance(hashed_table(), HashedTable)
