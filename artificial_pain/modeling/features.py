"""The hidden states of an encoder that reads texts: for baselines, and to look inside it."""

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from artificial_pain import distributed
from artificial_pain.encoders import Encoder
from artificial_pain.modeling.batches import longest_first
from artificial_pain.modeling.model import load_encoder, pool


@torch.inference_mode()
def pooled_states(
    encoder: PreTrainedModel,
    texts: Dataset,
    tokenizer: PreTrainedTokenizerFast,
    batch_size: int,
    bf16: bool,
    title: str,
    pooling: str = "mean",
    every_layer: bool = False,
) -> np.ndarray:
    """The last hidden states of the texts, pooled: (examples, 1, hidden), in single precision.

    every_layer: the embeddings and each layer's states instead, (examples, layers + 1, hidden). texts: tokenized. bf16:
    whether the encoder multiplies in bf16. title: of the progress bar. pooling: see `model.pool`.
    """
    device, config = distributed.device(), encoder.config
    encoder = encoder.to(device).eval()
    shape = len(texts), config.num_hidden_layers + 1 if every_layer else 1, config.hidden_size
    states = np.empty(shape, np.float32)
    for rows, batch in longest_first(texts[:], tokenizer, batch_size, device, title):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            output = encoder(**batch, output_hidden_states=every_layer)
        layers = [*(output.hidden_states[:-1] if every_layer else ()), output.last_hidden_state]
        pooled = [pool(layer.float(), batch["attention_mask"], pooling) for layer in layers]
        states[rows] = torch.stack(pooled, dim=1).cpu().numpy()
    return states


def mean_hidden_states(
    source: Encoder, tokenized: DatasetDict, tokenizer: PreTrainedTokenizerFast, batch_size: int, bf16: bool
) -> dict[str, np.ndarray]:
    """The last hidden states of the pretrained encoder, the mean over a text's tokens: (examples, hidden) a split."""
    encoder, options = load_encoder(source), (tokenizer, batch_size, bf16)
    return {
        name: pooled_states(encoder, split, *options, f"Frozen encoder, {name}")[:, 0].astype(float)
        for name, split in tokenized.items()
    }
