"""What an encoder says of texts before it is fine-tuned: its hidden states, for baselines."""

import numpy as np
import torch
from datasets import DatasetDict
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from artificial_pain import distributed
from artificial_pain.data.tokenization import by_length
from artificial_pain.encoders import Encoder
from artificial_pain.modeling.model import load_encoder, pool

BAR_DELAY = 2  # seconds before the progress bar is shown


@torch.inference_mode()
def mean_hidden_states(
    source: Encoder, tokenized: DatasetDict, tokenizer: PreTrainedTokenizerFast, batch_size: int, bf16: bool
) -> dict[str, np.ndarray]:
    """The last hidden states of the pretrained encoder, as the mean over a text's tokens: (examples, hidden) a split.

    In single precision, with the products in bf16 if asked for.
    """
    device = distributed.device()
    encoder = load_encoder(source).to(device).eval()
    states = {name: np.empty((len(split), encoder.config.hidden_size), np.float32) for name, split in tokenized.items()}
    total = sum(map(len, tokenized.values()))
    with tqdm(total=total, desc="Frozen encoder", unit=" texts", delay=BAR_DELAY, disable=None) as bar:
        for name, split in tokenized.items():
            order = by_length(split)
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                columns = split.select(rows).select_columns(["input_ids", "attention_mask"])[:]
                batch = tokenizer.pad(columns, return_tensors="pt").to(device)
                with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                    hidden = encoder(**batch).last_hidden_state
                states[name][rows] = pool(hidden.float(), batch["attention_mask"], "mean").cpu().numpy()
                bar.update(len(rows))
    return states
