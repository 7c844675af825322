"""A training with the rows of its own texts alone learns what one with the whole table does."""

import copy
from contextlib import nullcontext

import pytest
import torch
from transformers import AutoModel

from artificial_pain.modeling import embeddings

TEXTS = torch.tensor([[2, 5, 6, 7, 3], [2, 8, 3, 0, 0]])  # 0 is the padding
USED = sorted(set(TEXTS.flatten().tolist()))


def train(model: torch.nn.Module) -> list[torch.Tensor]:
    """Three steps of Adam in fp32; what the model gives of the texts after each."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, fused=True)
    hidden = []
    for _ in range(3):
        output = model(input_ids=TEXTS, attention_mask=(TEXTS != 0).long()).last_hidden_state
        output.square().sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        hidden.append(output.detach())
    return hidden


def test_the_whole_table_and_its_used_rows_learn_the_same(encoder):
    whole = AutoModel.from_pretrained(encoder).eval()
    used = copy.deepcopy(whole)
    before = whole.get_input_embeddings().weight.detach().clone()
    expected = train(whole)
    with embeddings.only_rows(used, TEXTS):
        assert used.get_input_embeddings().weight.shape == (len(USED), before.shape[1])
        found = train(used)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    for (name, ours), theirs in zip(used.named_parameters(), whole.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5), name
    table = used.get_input_embeddings().weight
    unused = [row for row in range(len(before)) if row not in USED]
    assert torch.equal(table[unused], before[unused]) and not torch.allclose(table[5], before[5])
    assert torch.equal(table[0], before[0])  # of the padding


def test_padding_gets_no_gradient_wherever_its_row_is(encoder):
    """Of padding 9, with rows before it that no text has"""
    model = AutoModel.from_pretrained(encoder)
    model.get_input_embeddings().padding_idx = 9
    texts = TEXTS.masked_fill(TEXTS == 0, 9)
    with embeddings.only_rows(model, texts):
        embedding = model.get_input_embeddings()
        embedding(texts).sum().backward()
        moved = [embedding.weight.grad[i].any().item() for i in range(len(embedding.weight))]
        with pytest.raises(IndexError):
            embedding(torch.tensor([4]))  # which is no row here
    assert moved == [True] * 6 + [False]  # 2, 3, 5, 6, 7, 8, 9


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_the_table_is_whole_again_whatever_ends_the_block(error, encoder):
    model = AutoModel.from_pretrained(encoder)
    embedding, before = model.get_input_embeddings(), copy.deepcopy(model.state_dict())
    parameter, padding = embedding.weight, embedding.padding_idx
    with pytest.raises(error) if error else nullcontext(), embeddings.only_rows(model, TEXTS):
        assert embedding.weight is parameter  # which an optimizer has
        if error:
            raise error
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert embedding.padding_idx == padding and model(input_ids=torch.tensor([[9, 10]]))
