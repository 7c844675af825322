"""What an encoder says of texts before it is fine-tuned: its hidden states, for baselines."""

import numpy as np
import torch
from datasets import DatasetDict
from transformers import PreTrainedTokenizerFast

from artificial_pain import distributed
from artificial_pain.encoders import Encoder
from artificial_pain.modeling.batches import longest_first
from artificial_pain.modeling.model import load_encoder, pool


@torch.inference_mode()
def mean_hidden_states(
    source: Encoder, tokenized: DatasetDict, tokenizer: PreTrainedTokenizerFast, batch_size: int, bf16: bool
) -> dict[str, np.ndarray]:
    """The last hidden states of the pretrained encoder, as the mean over a text's tokens: (examples, hidden) a split.

    bf16: whether the encoder multiplies in bf16.
    """
    device = distributed.device()
    encoder = load_encoder(source).to(device).eval()
    states = {name: np.empty((len(split), encoder.config.hidden_size)) for name, split in tokenized.items()}
    for name, split in tokenized.items():
        for rows, batch in longest_first(split[:], tokenizer, batch_size, device, f"Frozen encoder, {name}"):
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                hidden = encoder(**batch).last_hidden_state
            states[name][rows] = pool(hidden.float(), batch["attention_mask"], "mean").cpu().numpy()
    return states
