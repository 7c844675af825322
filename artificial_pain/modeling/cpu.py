"""What makes a training on a CPU fast and repeatable: where memory is, products in bf16, cheap masks for dropout.

torch draws a random number for the mask of each value, which takes a quarter of a step. Here a number of 64 bits makes
the masks of four values, with 16 bits each. So probabilities are rounded to multiples of 1/65,536, and in `attention`
to multiples of 1/32,768, because its masks use 15 bits. 0.1 becomes 0.10001 in both.
"""

import ctypes
import platform

import torch
from torch import nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, eager_mask

M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1  # of glibc's mallopt(3)
VALUES = 2**16  # of 16 bits
ATTENTION = "artificial_pain_cpu"  # the name of `attention` among transformers' attention kernels


def multiplies_in_bf16() -> bool:
    """Whether the CPU has instructions for it; without them bf16 is slower than fp32."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))


def disable_malloc_trim() -> None:
    """Let the process keep the memory that it frees, to use it again. C libraries other than glibc stay as they are.

    By default, the memory of a large tensor goes back to the system at once, and the system clears the memory of the
    next one, page by page. That is a fifth of a training step.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def return_free_memory() -> None:
    """Give back the free memory that `disable_malloc_trim` keeps, which would grow with each new length of texts."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def realign_parameters(model: nn.Module) -> None:
    """Copy the weights from the file in which they are mapped to memory that torch has aligned.

    The last digits of a product depend on how its factors lie, and each file has them at other offsets: a run that is
    loaded to be evaluated again would differ from the one that was trained.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()


def _random_bits(shape: torch.Size) -> torch.Tensor:
    """Random numbers of 16 bits, int16 of a shape."""
    size = shape.numel()
    return torch.empty(-(-size // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:size].view(shape)


def drop(values: torch.Tensor, p: float) -> torch.Tensor:
    """The values, of any shape, each with probability p set to 0, the others scaled so that the mean stays."""
    dropped = max(1, round(p * VALUES))
    # The mask is 0 and 1 in the values' type: torch has no vector instructions for 16 bits times a bool.
    mask = torch.empty_like(values)
    torch.gt(_random_bits(values.shape), dropped - VALUES // 2 - 1, out=mask)
    return values * mask * (VALUES / max(VALUES - dropped, 1))


class Dropout(nn.Dropout):
    """torch's module, with the masks above."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return drop(values, self.p) if self.training and self.p else values


class DroppedAttention(torch.autograd.Function):
    """Attention with dropout of its weights. They are kept once for the backward pass; a negative one was dropped.

    query, key, value: (batch, heads, tokens, size). mask: is added to the scores, and gets no gradient. torch's own
    autograd would keep the weights, the mask of the dropout, and the weights that are left.
    """

    @staticmethod
    def forward(ctx, query, key, value, mask, scaling, p):
        # A weight is dropped where its random number is below a limit: where their difference is negative. The random
        # numbers have 15 bits, so that the difference fits into 16.
        dropped = max(1, round(p * VALUES / 2))
        ctx.factors = scaling, VALUES / 2 / max(VALUES / 2 - dropped, 1)
        query = query * scaling
        weights = query @ key.transpose(2, 3)
        weights = (weights if mask is None else weights.add_(mask)).softmax(dim=-1, dtype=weights.dtype)
        signs = (_random_bits(weights.shape) >> 1) - (dropped - VALUES // 4)
        signs = signs if weights.itemsize == 2 else signs.int()
        torch.copysign(weights, signs.view(weights.dtype), out=weights)
        output = (weights.relu() @ value) * ctx.factors[1]
        ctx.save_for_backward(query, key, value, weights, output)
        return output

    @staticmethod
    def backward(ctx, grad_output):
        query, key, value, weights, output = ctx.saved_tensors
        scaling, factor = ctx.factors
        # The sum of a row's weights times their gradients, as in FlashAttention (Dao et al., NeurIPS 2022).
        sums = (grad_output * output).sum(dim=-1, keepdim=True)
        grad_output = grad_output * factor
        kept = weights.relu()
        grad_value = kept.transpose(2, 3) @ grad_output
        grad_scores = (grad_output @ value.transpose(2, 3)).mul_(kept)
        grad_scores.addcmul_(torch.abs(weights, out=kept), sums, value=-1)
        return grad_scores @ key * scaling, grad_scores.transpose(2, 3) @ query, grad_value, None, None, None


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention for transformers: (batch, heads, tokens, size) to (batch, tokens, heads, size).

    torch's own kernel is used without dropout. With dropout, it is slow on a CPU. Where the module has
    `first_token_alone`, the first token's attention is computed and stands for all tokens: only the first is read.
    """
    shape = query.transpose(1, 2).shape
    if getattr(module, "first_token_alone", False):
        query, attention_mask = query[:, :, :1], attention_mask if attention_mask is None else attention_mask[:, :, :1]
    if not dropout:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
        return output.expand(shape), None
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else query.dtype
    query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    if attention_mask is not None:
        # fp32's lowest number would be -inf in bf16. A row of -inf alone (padding outside a local window) would be NaN.
        attention_mask = attention_mask.clamp(min=torch.finfo(dtype).min).to(dtype)
    output = DroppedAttention.apply(query, key, value, attention_mask, scaling, dropout)
    return output.transpose(1, 2).expand(shape), None


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, eager_mask)  # 0 and the lowest number, which is added to the scores


def use_fast_dropout(model: PreTrainedModel) -> None:
    """Give a model the dropout of this module, in attention and everywhere else.

    Attention with a term for relative positions (DeBERTa's and MPNet's) stays the library's, with this dropout.
    """
    model.set_attn_implementation(ATTENTION)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p).train(child.training))
