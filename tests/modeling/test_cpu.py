"""Training on a CPU: its dropout is dropout, whatever it costs, and bf16 is used where the CPU has it."""

import platform
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, ModernBertConfig, set_seed

from artificial_pain import distributed
from artificial_pain.modeling import cpu
from artificial_pain.training import recipe


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_a_share_and_keeps_the_mean(p: float):
    """Of 10^6 ones; six standard deviations of the share are 0.003 at most."""
    set_seed(0)
    values = torch.ones(1000, 1000, requires_grad=True)
    dropped = cpu.drop(values, p)
    assert (dropped == 0).float().mean().item() == pytest.approx(p, abs=0.003)
    assert dropped.max().item() == pytest.approx(1 / (1 - p), rel=1e-3)
    assert dropped.mean().item() == pytest.approx(1, abs=0.003 / (1 - p))
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped)  # of ones: what scales the value scales its gradient


def test_the_masks_of_values_drawn_together_are_independent():
    """Four values share a draw: each pair of their masks meets as often as chance has it."""
    set_seed(0)
    masks = (cpu.drop(torch.ones(250_000, 4), 0.3) == 0).float()
    assert torch.allclose(masks.T @ masks / len(masks), 0.3 * (0.3 + 0.7 * torch.eye(4)), atol=0.006)


@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3, 5)])
def test_dropout_of_any_number_of_values(shape: tuple[int, ...]):
    assert cpu.drop(torch.ones(shape), 0.5).shape == shape


def test_dropout_of_everything():
    assert not cpu.drop(torch.ones(100), 1.0).any()


def test_dropout_follows_the_seed_and_is_off_in_evaluation():
    values, module = torch.ones(100), cpu.Dropout(0.5)
    set_seed(1)
    first = module(values)
    set_seed(1)
    assert torch.equal(first, module(values)) and not torch.equal(first, module(values))
    assert torch.equal(module.eval()(values), values)


def test_attention_is_the_same_but_for_its_dropout(encoder):
    """Without dropout the same hidden states as torch's attention; with it, other ones whose mean comes near them."""
    model = AutoModel.from_pretrained(encoder)
    ids = torch.tensor([[2, 5, 6, 7, 3], [2, 8, 3, 0, 0]])
    batch = {"input_ids": ids, "attention_mask": (ids != 0).long()}
    hidden = model.eval()(**batch).last_hidden_state
    cpu.use_fast_dropout(model)
    assert torch.equal(model(**batch).last_hidden_state, hidden)

    for module in model.train().modules():  # of attention alone
        if isinstance(module, cpu.Dropout) and module is not model.encoder.layer[0].attention.self.dropout:
            module.p = 0.0
    set_seed(0)
    with torch.no_grad():
        draws = torch.stack([model(**batch).last_hidden_state for _ in range(500)])
    real = batch["attention_mask"].bool()
    assert not torch.equal(draws[0][real], hidden[real])
    error = (draws.mean(dim=0) - hidden)[real].abs().max()
    assert error < 6 * draws.std(dim=0)[real].max() / 500**0.5 + 0.01


def test_padding_changes_nothing_with_dropout(encoder):
    """What is padded has no weight, also where some of the others are dropped."""
    model = AutoModel.from_pretrained(encoder)
    cpu.use_fast_dropout(model)
    ids = torch.tensor([[2, 5, 6, 3, 0, 0]])
    mask = (ids != 0).long()
    hidden = []
    for padding in (0, 9):
        set_seed(0)
        filled = ids.masked_fill(mask == 0, padding)
        hidden.append(model.train()(input_ids=filled, attention_mask=mask).last_hidden_state[:, :4])
    assert torch.equal(*hidden)


def test_padding_far_from_every_text_stays_finite_in_bf16():
    """Padding of ModernBERT whose local window has no text: nothing it could attend to"""
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    local = {"local_attention": 8, "global_attn_every_n_layers": 2, "attention_dropout": 0.1}
    model = AutoModel.from_config(ModernBertConfig(vocab_size=30, **sizes, **special, **local)).train()
    cpu.use_fast_dropout(model)
    ids = torch.tensor([[1, *[5] * 48, 2], [1, 5, 2, *[0] * 47]])
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model(input_ids=ids, attention_mask=(ids != 0).long()).last_hidden_state
    hidden[:, 0].sum().backward()
    assert hidden.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)


@pytest.mark.parametrize("instructions, used", [({"amx_bf16": True}, "bf16"), ({"avx2": True}, "fp32"), ({}, "fp32")])
def test_auto_precision_is_bf16_where_the_cpu_has_it(instructions, used, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    monkeypatch.setattr(distributed, "device", lambda: torch.device("cpu"))
    assert recipe.resolve_precision("auto") == used


@pytest.mark.parametrize("masked", [False, True])
def test_attention_and_its_gradients_are_those_of_autograd(masked: bool):
    """With the mask that the same random numbers give: 3 of 10 weights are dropped"""
    set_seed(0)
    shape, p, scaling = (2, 4, 7, 5), 0.3, 0.4
    inputs = [torch.randn(shape, requires_grad=True) for _ in range(3)]
    padding = torch.zeros(2, 1, 1, 7).masked_fill(torch.rand(2, 1, 1, 7) < 0.4, -1e9) if masked else None
    gradient = torch.randn(shape)
    state = torch.get_rng_state()
    output = cpu.DroppedAttention.apply(*inputs, padding, scaling, p)
    found = torch.autograd.grad(output, inputs, gradient)

    torch.set_rng_state(state)
    bits = torch.empty(2 * 4 * 7 * 7 // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    limit = round(p * 2**15)
    kept = (bits.view(2, 4, 7, 7).int() + 2**15) // 2 >= limit
    assert kept.float().mean().item() == pytest.approx(1 - p, abs=0.1)
    query, key, value = inputs
    scores = scaling * query @ key.transpose(2, 3) + (0 if padding is None else padding)
    expected = (scores.softmax(dim=-1) * kept * 2**15 / (2**15 - limit)) @ value
    assert torch.allclose(output, expected, atol=1e-6)
    for ours, theirs in zip(found, torch.autograd.grad(expected, inputs, gradient), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_attention_drops_a_share_in_bf16():
    """Of equal weights: what is left of their sum over 1,000 tokens, by rows, of which there are 8,000"""
    set_seed(0)
    query, key, value = torch.zeros(3, 1, 8, 1000, 16, dtype=torch.bfloat16).unbind()
    sums = cpu.DroppedAttention.apply(query, key, value + 1, None, 1.0, 0.1)[..., 0].float()
    assert sums.mean().item() == pytest.approx(1, abs=0.005)
    assert sums.std().item() == pytest.approx((0.1 / 0.9 / 1000) ** 0.5, rel=0.2)


def test_gradients_in_bf16_are_those_in_fp32_but_for_rounding():
    """Of the same random numbers, relative to the gradients' size"""
    shape, found = (2, 4, 40, 32), {}
    set_seed(0)
    inputs, gradient = torch.randn(3, *shape), torch.randn(shape)
    for kind in (torch.float32, torch.bfloat16):
        ours = [one.to(kind).requires_grad_() for one in inputs]
        set_seed(1)
        output = cpu.DroppedAttention.apply(*ours, None, 32**-0.5, 0.1)
        found[kind] = [one.float() for one in torch.autograd.grad(output, ours, gradient.to(kind))]
    for half, full in zip(found[torch.bfloat16], found[torch.float32], strict=True):
        assert (half - full).norm() < 0.02 * full.norm()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told what to do with free memory")
def test_kept_memory_is_given_back():
    """Of 50 blocks of 4 MB, in front of one that is still used"""

    def resident() -> int:
        return 1024 * int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1])

    cpu.disable_malloc_trim()
    *blocks, used = [torch.ones(2**20) for _ in range(51)]
    del blocks
    before = resident()
    cpu.return_free_memory()
    assert before - resident() > 150e6 and used.sum() == 2**20
